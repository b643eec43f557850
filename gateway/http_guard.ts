/** What every HTTP request must be before any route sees it. Pure. @module */
import { ApiError, badRequest } from "./errors.ts";
import type { HttpRequest, WithHeaders } from "./http_request.ts";
import type { Services } from "./services.ts";

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;

/** The caller's own id where it is harmless in logs and headers, else one of ours. */
export function requestIdOf(request: WithHeaders): string {
  const given = request.headers.get("x-request-id");
  if (given !== null && REQUEST_ID.test(given)) return given;
  return `req_${crypto.randomUUID().replaceAll("-", "")}`;
}

/** More than any client sends. */
const HEADERS_MAX = 100;

/** Of which a proxy before us may read another than we do. */
const SINGLE = ["host", "authorization", "content-type"];

/** What the listener takes and nobody should: many headers, no `Host`, or several of what must be
 * one. On a loopback address the name must be one of
 * this machine's, or a web page whose name was rebound to 127.0.0.1 could use the server.
 * @throws {ApiError} 400, 403 or 431. */
export function checkHead(request: HttpRequest, services: Services): void {
  const names = request.headerNames;
  if (names.length > HEADERS_MAX) {
    const message = `A request may have ${HEADERS_MAX} headers.`;
    throw new ApiError(431, "invalid_request_error", "too_many_headers", message);
  }
  for (const single of SINGLE) {
    const isIt = (name: string) => name.length === single.length && name.toLowerCase() === single;
    if (names.filter(isIt).length > 1) {
      throw badRequest("repeated_header", `The header '${single}' is there more than once.`);
    }
  }
  const host = request.headers.get("host");
  if (host === null || host === "") {
    throw badRequest("missing_host", "The Host header is missing.");
  }
  const allowed = services.options.hostsAllowed;
  if (allowed === undefined || allowed.has(hostName(host))) return;
  throw new ApiError(
    403,
    "permission_error",
    "host_not_allowed",
    "This host name is not served here. Start the gateway with --allow-host to allow it.",
  );
}

function hostName(host: string): string {
  const name = host.startsWith("[") ? host.slice(0, host.indexOf("]") + 1) : host.split(":", 1)[0]!;
  return name.toLowerCase();
}

/** Browsers name the page that opens a WebSocket and do not stop it: we must.
 * @throws {ApiError} 403. */
export function checkOrigin(request: WithHeaders, services: Services): void {
  const origin = request.headers.get("origin");
  if (origin === null) return; // Not a browser.
  if (services.options.originsAllowed.has(origin)) return;
  const host = request.headers.get("host");
  if (origin === `http://${host}` || origin === `https://${host}`) return;
  throw new ApiError(
    403,
    "permission_error",
    "origin_not_allowed",
    "This origin may not connect. Start the gateway with --allow-origin to allow it.",
  );
}
