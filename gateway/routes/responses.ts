/** `POST /v1/responses`. @module */
import { answer } from "../answer.ts";
import { readResponsesRequest } from "../request_responses.ts";
import { RESPONSES_SHAPE } from "../responses_shape.ts";
import type { Route } from "./route.ts";

export const responsesRoute: Route = {
  method: "POST",
  path: "/v1/responses",
  scope: "key",
  isRecorded: true,
  handle: ({ http, services, principal, requestId }) => {
    return answer({
      services,
      principal,
      http,
      requestId,
      route: "/v1/responses",
      shape: RESPONSES_SHAPE,
      idPrefix: "resp_",
      readRequest: readResponsesRequest,
    });
  },
};
