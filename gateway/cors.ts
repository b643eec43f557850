/** Cross-origin reads by web pages: of the origins that are allowed, by default none. Pure.
 * @module */
import type { WithHeaders } from "./http_request.ts";

/** How long a browser may keep a preflight's answer. */
const PREFLIGHT_SECONDS = 600;
const HEADERS_MAX = 64;
const HEADER_NAMES = /^[A-Za-z0-9-]{1,64}( *, *[A-Za-z0-9-]{1,64})*$/;
/** What of our headers a page may read, beside the few that it always may. */
const EXPOSED = [
  ...["x-request-id", "server-timing", "openai-processing-ms", "retry-after", "retry-after-ms"],
  ...["age", "x-should-retry", "x-redraft-retry-count"],
  ...["x-redraft-cache", "cache-status", "ratelimit", "ratelimit-policy", "x-smg-routed-worker-id"],
  ...["requests", "tokens"].flatMap((unit) =>
    ["limit", "remaining", "reset"].map((what) => `x-ratelimit-${what}-${unit}`)
  ),
].join(", ");

/** Headers for an answer to a page of `origin`; `undefined` where there is none or it may not read.
 * Never `*`, and never with credentials: a page brings its own key. */
export function corsHeaders(
  origin: string | null,
  allowed: ReadonlySet<string>,
): Record<string, string> | undefined {
  if (origin === null || !allowed.has(origin)) return undefined;
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": EXPOSED,
    "vary": "authorization, origin",
  };
}

/** What a browser is told before it sends what only a script can send.
 * @param methods Of the route that is asked about. */
export function preflightHeaders(
  request: WithHeaders,
  allowed: ReadonlySet<string>,
  methods: readonly string[],
): Record<string, string> | undefined {
  const headers = corsHeaders(request.headers.get("origin"), allowed);
  if (headers === undefined || !request.headers.has("access-control-request-method")) return;
  const wanted = request.headers.get("access-control-request-headers") ?? "";
  const isPlain = HEADER_NAMES.test(wanted) && wanted.split(",").length <= HEADERS_MAX;
  return {
    ...headers,
    "access-control-allow-methods": methods.join(", "),
    ...(isPlain ? { "access-control-allow-headers": wanted } : {}),
    "access-control-max-age": String(PREFLIGHT_SECONDS),
    "vary": "origin, access-control-request-method, access-control-request-headers",
  };
}
