/** `POST /v1/chat/completions`. @module */
import { answer } from "../answer.ts";
import { CHAT_SHAPE } from "../chat_shape.ts";
import { readChatRequest } from "../request.ts";
import type { Route } from "./route.ts";

export const chatCompletionsRoute: Route = {
  method: "POST",
  path: "/v1/chat/completions",
  scope: "key",
  isRecorded: true,
  handle: ({ http, services, principal, requestId }) => {
    return answer({
      services,
      principal,
      http,
      requestId,
      route: "/v1/chat/completions",
      shape: CHAT_SHAPE,
      idPrefix: "chatcmpl-",
      readRequest: readChatRequest,
    });
  },
};
