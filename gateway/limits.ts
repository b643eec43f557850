/** Limits of one key: requests and tokens a minute, requests in flight, a token budget. Pure: it is
 * handed the time.
 *
 * Tokens are reserved before a request may start, as its prompt and the most it may generate, and
 * settled when it has ended. A reservation counts until then, and what was used counts from then on
 * for a minute. So no minute can hold more than the limit, whenever in it the tokens came.
 * @module */
import { assert } from "../proto/assert.ts";

export const WINDOW_MS = 60_000;
const BUCKET_MS = 1000;
/** The one under way beside a whole minute of full ones: what left is always over a minute old. */
const BUCKETS = WINDOW_MS / BUCKET_MS + 1;
/** While reservations hold the tokens, nobody knows when they come back. */
const RETRY_MS_LEAST = 1000;

/** `undefined`: no such limit. */
export interface KeyLimits {
  readonly requestsPerMinute?: number;
  readonly tokensPerMinute?: number;
  readonly inFlightMax?: number;
  readonly budgetTokens?: number;
  /** When the budget begins anew, by the UTC calendar. */
  readonly budgetPeriod: "day" | "month";
}

/** What clients are told of one limit. */
export interface LimitState {
  limit: number;
  remaining: number;
  /** Until all of it is there again, were nothing more asked. */
  resetMs: number;
}

export interface LimitStates {
  requests?: LimitState;
  tokens?: LimitState;
}

export type LimitName = "requests" | "tokens" | "in_flight" | "budget" | "request_size";

export interface Refusal {
  kind: "refused";
  what: LimitName;
  retryMs: number;
  states: LimitStates;
  /** Of a refusal by the budget: what is used of it, and reserved by what is in flight. */
  budgetUsed?: number;
}

export type Decision = { kind: "admitted"; states: LimitStates } | Refusal;

/** Amounts of the last minute, by the second. */
export class SlidingWindow {
  readonly #amounts = new Float64Array(BUCKETS);
  #newest = 0;
  #sum = 0;

  sum(now: number): number {
    this.#advance(now);
    return this.#sum;
  }

  add(amount: number, now: number): void {
    this.#advance(now);
    this.#amounts[this.#newest % BUCKETS]! += amount;
    this.#sum += amount;
  }

  /** Until the sum is at most `most`, were nothing added. */
  msUntil(most: number, now: number): number {
    this.#advance(now);
    let sum = this.#sum;
    if (sum <= most) return 0;
    let bucket = Math.max(0, this.#newest - BUCKETS + 1);
    while (bucket <= this.#newest && sum > most) sum -= this.#amounts[bucket++ % BUCKETS]!;
    return (bucket - 1 + BUCKETS) * BUCKET_MS - now;
  }

  #advance(now: number): void {
    // A clock that is set back stays in its newest bucket: amounts only ever last longer.
    const newest = Math.max(this.#newest, Math.floor(now / BUCKET_MS));
    const steps = Math.min(newest - this.#newest, BUCKETS);
    for (let i = 1; i <= steps; ++i) {
      const index = (newest - steps + i) % BUCKETS;
      this.#sum -= this.#amounts[index]!;
      this.#amounts[index] = 0;
    }
    this.#newest = newest;
  }
}

/** The meter of one key in this process. Times are epoch milliseconds. */
export class KeyMeter {
  readonly #requests = new SlidingWindow();
  readonly #tokens = new SlidingWindow();
  #inFlight = 0;
  #reserved = 0;
  #budgetUsed = 0;
  #budgetPeriod = "";

  get inFlight(): number {
    return this.#inFlight;
  }

  get reservedTokens(): number {
    return this.#reserved;
  }

  /** Takes a request, or nothing of it. An admitted one must be released, its tokens settled. */
  admit(limits: KeyLimits, tokens: number, now: number): Decision {
    const refused = this.#refusal(limits, tokens, now);
    if (refused === undefined) {
      ++this.#inFlight;
      this.#reserved += tokens;
      this.#requests.add(1, now);
      return { kind: "admitted", states: this.states(limits, now) };
    }
    const [what, retryMs] = refused;
    const used = what === "budget" ? { budgetUsed: this.#budgetUsed + this.#reserved } : {};
    return { kind: "refused", what, retryMs, states: this.states(limits, now), ...used };
  }

  /** @param reserved Part of what was admitted. */
  settle(reserved: number, used: number, now: number): void {
    this.#reserved -= reserved;
    assert(this.#reserved >= 0, "no more is settled than was reserved");
    this.#tokens.add(used, now);
    this.#budgetUsed += used;
  }

  release(): void {
    --this.#inFlight;
    assert(this.#inFlight >= 0, "no more is released than was admitted");
  }

  states(limits: KeyLimits, now: number): LimitStates {
    const states: LimitStates = {};
    const { requestsPerMinute, tokensPerMinute } = limits;
    if (requestsPerMinute !== undefined) {
      states.requests = stateOf(requestsPerMinute, this.#requests, 0, now);
    }
    if (tokensPerMinute !== undefined) {
      states.tokens = stateOf(tokensPerMinute, this.#tokens, this.#reserved, now);
    }
    return states;
  }

  #refusal(limits: KeyLimits, tokens: number, now: number): [LimitName, number] | undefined {
    const { requestsPerMinute, tokensPerMinute, inFlightMax, budgetTokens } = limits;
    if (limitPassed(limits, tokens) !== undefined) return ["request_size", 0];
    if (inFlightMax !== undefined && this.#inFlight >= inFlightMax) {
      return ["in_flight", RETRY_MS_LEAST];
    }
    if (budgetTokens !== undefined) {
      const period = periodOf(limits.budgetPeriod, now);
      if (period !== this.#budgetPeriod) this.#budgetUsed = 0;
      this.#budgetPeriod = period;
      if (this.#budgetUsed + this.#reserved + tokens > budgetTokens) {
        return ["budget", msToNextPeriod(limits.budgetPeriod, now)];
      }
    }
    if (requestsPerMinute !== undefined && this.#requests.sum(now) + 1 > requestsPerMinute) {
      return ["requests", this.#requests.msUntil(requestsPerMinute - 1, now)];
    }
    if (tokensPerMinute === undefined) return undefined;
    const room = tokensPerMinute - this.#reserved - tokens;
    if (this.#tokens.sum(now) <= room) return undefined;
    const waitMs = room < 0 ? RETRY_MS_LEAST : this.#tokens.msUntil(room, now);
    return ["tokens", Math.max(waitMs, RETRY_MS_LEAST)];
  }
}

/** Whether what is used of a budget is to be kept for longer than this process lives. */
export function hasBudget(keys: Iterable<{ readonly limits?: KeyLimits }>): boolean {
  for (const { limits } of keys) if (limits?.budgetTokens !== undefined) return true;
  return false;
}

/** The limit that a request of so many tokens passes by itself, so that waiting never helps. */
export function limitPassed(
  { tokensPerMinute, budgetTokens }: KeyLimits,
  tokens: number,
): "tokensPerMinute" | "budgetTokens" | undefined {
  if (tokensPerMinute !== undefined && tokens > tokensPerMinute) return "tokensPerMinute";
  return budgetTokens !== undefined && tokens > budgetTokens ? "budgetTokens" : undefined;
}

function stateOf(
  limit: number,
  window: SlidingWindow,
  reserved: number,
  now: number,
): LimitState {
  const remaining = Math.max(0, limit - window.sum(now) - reserved);
  return { limit, remaining, resetMs: window.sum(now) === 0 ? 0 : window.msUntil(0, now) };
}

/** Names the calendar day or month, UTC. */
export function periodOf(period: "day" | "month", now: number): string {
  return new Date(now).toISOString().slice(0, period === "day" ? 10 : 7);
}

export function msToNextPeriod(period: "day" | "month", now: number): number {
  const date = new Date(now);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const next = period === "day" ? Date.UTC(year, month, day + 1) : Date.UTC(year, month + 1, 1);
  return next - now;
}
