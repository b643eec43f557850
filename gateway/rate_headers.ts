/** How limits are told: OpenAI's headers, which its clients read, and the IETF's draft. Pure.
 * @module */
import { ApiError } from "./errors.ts";
import type { LimitName, LimitState, LimitStates } from "./limits.ts";

const WINDOW_SECONDS = 60;

/** `x-ratelimit-*` and `RateLimit*`; none for a key without limits. */
export function rateHeaders(states: LimitStates): Record<string, string> {
  const headers: Record<string, string> = {};
  const policies: string[] = [];
  const items: string[] = [];
  for (const name of ["requests", "tokens"] as const) {
    const state: LimitState | undefined = states[name];
    if (state === undefined) continue;
    headers[`x-ratelimit-limit-${name}`] = String(state.limit);
    headers[`x-ratelimit-remaining-${name}`] = String(Math.floor(state.remaining));
    headers[`x-ratelimit-reset-${name}`] = goDuration(state.resetMs);
    policies.push(`"${name}";q=${state.limit};w=${WINDOW_SECONDS}`);
    const resetSeconds = Math.ceil(state.resetMs / 1000);
    items.push(`"${name}";r=${Math.floor(state.remaining)};t=${resetSeconds}`);
  }
  if (items.length === 0) return headers;
  headers["ratelimit-policy"] = policies.join(", ");
  headers["ratelimit"] = items.join(", ");
  return headers;
}

/** As OpenAI writes them: `120ms`, `1.5s`, `6m0s`. */
function goDuration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = (whole - minutes * 60_000) / 1000;
  return minutes === 0 ? `${seconds}s` : `${minutes}m${seconds}s`;
}

/** When to come back, for clients of either kind. */
export function retryHeaders(retryMs: number): Record<string, string> {
  const whole = Math.max(1, Math.ceil(retryMs));
  return { "retry-after": String(Math.ceil(whole / 1000)), "retry-after-ms": String(whole) };
}

const MESSAGES: Record<LimitName, string> = {
  requests: "Too many requests a minute for this key.",
  tokens:
    "Too many tokens a minute for this key: a request counts its prompt and the most it may " +
    "generate until it has ended.",
  in_flight: "Too many requests of this key are in flight.",
  budget: "This key's token budget is used up.",
  request_size: "The request could use more tokens than the key has in a minute. Lower " +
    "'max_tokens', or shorten the prompt.",
};

const TYPES: Record<LimitName, readonly [type: string, code: string]> = {
  requests: ["requests", "rate_limit_exceeded"],
  tokens: ["tokens", "rate_limit_exceeded"],
  in_flight: ["rate_limit_error", "concurrency_exceeded"],
  budget: ["insufficient_quota", "insufficient_quota"],
  request_size: ["tokens", "rate_limit_exceeded"],
};

/** The 429 of a refused request. */
export function limitError(what: LimitName, retryMs: number, states: LimitStates): ApiError {
  const [type, code] = TYPES[what];
  // Neither a used-up budget nor an oversize request gets better by asking again.
  const hopeless = what === "request_size" || what === "budget";
  const headers = {
    ...rateHeaders(states),
    ...(what === "request_size" ? {} : retryHeaders(retryMs)),
    ...(hopeless ? { "x-should-retry": "false" } : {}),
  };
  const param = what === "request_size" ? { param: "max_tokens" } : {};
  return new ApiError(429, type, code, MESSAGES[what], { headers, ...param });
}
