/** `GET /` and its files: the playground. They hold no secret and no state, so they are public;
 * all that the page then asks for needs a key where keys are set. @module */
import { PLAYGROUND } from "../../playground/pkg/files.js";
import { Reply } from "../reply.ts";
import type { Route, RouteCall } from "./route.ts";

/** Nothing from elsewhere, no inline script or style, no HTML made from strings. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "cache-control": "no-cache",
  "etag": `"${PLAYGROUND.digest}"`,
};

export const PLAYGROUND_ROUTES: readonly Route[] = [
  fileRoute("/", PLAYGROUND.html, "text/html; charset=utf-8"),
  fileRoute("/playground.js", PLAYGROUND.js, "text/javascript; charset=utf-8"),
  fileRoute("/playground.css", PLAYGROUND.css, "text/css; charset=utf-8"),
  fileRoute("/playground.svg", PLAYGROUND.svg, "image/svg+xml"),
];

function fileRoute(path: string, body: string, type: string): Route {
  const handle = ({ http }: RouteCall) =>
    http.headers.get("if-none-match") === HEADERS.etag
      ? new Reply(null, { status: 304, headers: HEADERS })
      : new Reply(body, { headers: { ...HEADERS, "content-type": type } });
  return { method: "GET", path, scope: "public", handle };
}
