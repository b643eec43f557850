/** Whether a node is to be trusted: a circuit breaker, and a budget for tries that a failure costs.
 * Pure: both are handed the time. @module */

const FAILURES_TO_OPEN = 5;
const OPEN_MS_LEAST = 5_000;
const OPEN_MS_MOST = 60_000;

export type CircuitState = "closed" | "open" | "half-open";

/** Opens after failures in a row, then lets one request at a time try again. */
export class Circuit {
  #failures = 0;
  #opened = 0;
  #openUntil = 0;
  #probing = false;

  state(now: number): CircuitState {
    if (this.#opened === 0) return "closed";
    return now < this.#openUntil ? "open" : "half-open";
  }

  /** Others should be asked, if there are any. */
  isSuspect(now: number): boolean {
    const state = this.state(now);
    return state === "open" || (state === "half-open" && this.#probing);
  }

  /** A request goes to the node. */
  started(now: number): void {
    if (this.state(now) === "half-open") this.#probing = true;
  }

  succeeded(): void {
    this.#failures = this.#opened = 0;
    this.#probing = false;
  }

  /** The request told nothing of the node: its client left. */
  unknown(): void {
    this.#probing = false;
  }

  /** @param random In [0, 1): gateways that opened together try again apart. */
  failed(now: number, random: number): void {
    this.#probing = false;
    ++this.#failures;
    const wasOpen = this.#opened > 0;
    if (!wasOpen && this.#failures < FAILURES_TO_OPEN) return;
    if (this.state(now) === "open") return;
    const longest = Math.min(OPEN_MS_MOST, OPEN_MS_LEAST * 2 ** Math.min(this.#opened, 10));
    ++this.#opened;
    this.#openUntil = now + longest * (0.5 + random / 2);
  }
}

const RETRY_SHARE = 0.2;
const RETRIES_SAVED_MAX = 100;
const RETRIES_AT_START = 10;

/** Tries after a failure may be a fifth of all requests: when everything fails, retries would only
 * double the load. Streams that a lost node leaves behind are not counted here. */
export class RetryBudget {
  #saved = RETRIES_AT_START;

  request(): void {
    this.#saved = Math.min(RETRIES_SAVED_MAX, this.#saved + RETRY_SHARE);
  }

  /** Whether one more is allowed. */
  take(): boolean {
    if (this.#saved < 1) return false;
    --this.#saved;
    return true;
  }
}
