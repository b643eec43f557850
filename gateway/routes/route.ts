/** What a route is: declared with its scope, so that none can be reached by default. @module */
import type { Principal } from "../auth.ts";
import type { HttpRequest } from "../http_request.ts";
import type { Reply } from "../reply.ts";
import type { Services } from "../services.ts";

/** Of an answer that is one key's. */
export const PRIVATE = { "cache-control": "private, no-store", "vary": "authorization" } as const;

export interface RouteCall {
  http: HttpRequest;
  /** What the path has in place of `:name`. */
  param: (name: string) => string | undefined;
  services: Services;
  /** Who calls; on a public route, nobody in particular. */
  principal: Principal;
  requestId: string;
}

export interface Route {
  method: "GET" | "POST";
  /** Hono's pattern. */
  path: string;
  /** `key`: an API key is needed where any is configured. `socket`: the route itself asks for one,
   * since a browser's WebSocket cannot send headers. */
  scope: "public" | "key" | "socket";
  /** `answer()` writes its log line and headers; where not, the app does. */
  isRecorded?: boolean;
  handle(call: RouteCall): Reply | Promise<Reply>;
}
