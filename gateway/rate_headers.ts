/** How limits are told: OpenAI's headers, which its clients read, and the IETF's draft. Pure.
 * @module */
import { ApiError } from "./errors.ts";
import { type KeyLimits, type LimitName, limitPassed, type LimitState } from "./limits.ts";
import type { LimitStates } from "./limits.ts";

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

/** What may be admitted later, when others have ended or time has passed; a budget is apart. */
export type PassingLimit = Exclude<LimitName, "request_size" | "budget">;

/** What a request asks its key's limits for. */
export interface TokenAsk {
  /** In all: the prompts, and the most that each choice may generate. */
  tokens: number;
  promptTokens: number;
  choiceCount: number;
  /** What a client lowers to ask for fewer tokens. */
  field: string;
}

const MESSAGES: Record<PassingLimit, string> = {
  requests: "Too many requests a minute for this key.",
  tokens:
    "Too many tokens a minute for this key: a request counts its prompt and the most it may " +
    "generate until it has ended.",
  in_flight: "Too many requests of this key are in flight.",
};

const TYPES: Record<PassingLimit | "budget", readonly [type: string, code: string]> = {
  requests: ["requests", "rate_limit_exceeded"],
  tokens: ["tokens", "rate_limit_exceeded"],
  in_flight: ["rate_limit_error", "concurrency_exceeded"],
  budget: ["insufficient_quota", "insufficient_quota"],
};

/** The 429 of a refused request. */
export function limitError(what: PassingLimit, retryMs: number, states: LimitStates): ApiError {
  const [type, code] = TYPES[what];
  const headers = { ...rateHeaders(states), ...retryHeaders(retryMs) };
  return new ApiError(429, type, code, MESSAGES[what], { headers });
}

/** The 429 of a request that asks for more than is left of its key's budget, which is more than
 * nothing, maybe: then it says what would fit.
 * @param used With what requests in flight may use yet. */
export function budgetError(
  limits: KeyLimits,
  used: number,
  ask: TokenAsk,
  retryMs: number,
  states: LimitStates,
): ApiError {
  const [type, code] = TYPES.budget;
  const limit = limits.budgetTokens!;
  const most = Math.floor((limit - used - ask.promptTokens) / ask.choiceCount);
  const isUsedUp = used >= limit;
  const fits = !isUsedUp && most >= 1;
  const message = (isUsedUp ? "This key's token budget is used up" : "Request over what is left") +
    ` on tokens per ${limits.budgetPeriod}: Limit ${limit}, Used ${used}, ` +
    `Requested ${ask.tokens}.` +
    (fits ? ` It would fit with '${ask.field}' of at most ${most}.` : "");
  // It begins anew in hours or days: nothing for a client's loop.
  const headers = { ...rateHeaders(states), ...retryHeaders(retryMs), "x-should-retry": "false" };
  return new ApiError(429, type, code, message, {
    headers,
    ...(fits ? { param: ask.field } : {}),
  });
}

/** The 429 of a request that by itself asks for more than a limit: OpenAI's words and code. It
 * could never be admitted, so there is no `Retry-After`, and clients are told not to try again. */
export function tooManyTokens(
  limits: KeyLimits,
  { tokens, field }: Pick<TokenAsk, "tokens" | "field">,
  states: LimitStates,
): ApiError {
  const isBudget = limitPassed(limits, tokens) === "budgetTokens";
  const [type, code] = TYPES[isBudget ? "budget" : "tokens"];
  const limit = isBudget ? limits.budgetTokens : limits.tokensPerMinute;
  const unit = isBudget ? `tokens per ${limits.budgetPeriod}` : "tokens per minute (TPM)";
  const message = `Request too large for this key on ${unit}: Limit ${limit}, Requested ` +
    `${tokens}. Waiting does not help: lower '${field}' or shorten the prompt.`;
  const headers = { ...rateHeaders(states), "x-should-retry": "false" };
  return new ApiError(429, type, code, message, { param: field, headers });
}
