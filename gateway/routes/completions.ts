/** `POST /v1/completions`. @module */
import { answer } from "../answer.ts";
import { COMPLETION_SHAPE } from "../completion_shape.ts";
import { readCompletionRequest } from "../request.ts";
import type { Route } from "./route.ts";

export const completionsRoute: Route = {
  method: "POST",
  path: "/v1/completions",
  scope: "key",
  isRecorded: true,
  handle: ({ http, services, principal, requestId }) => {
    return answer({
      services,
      principal,
      http,
      requestId,
      route: "/v1/completions",
      shape: COMPLETION_SHAPE,
      idPrefix: "cmpl-",
      readRequest: readCompletionRequest,
    });
  },
};
