/** How many messages a socket may send: parsing them is work that nothing else bounds. Pure.
 * @module */

const MESSAGES_PER_SECOND_MAX = 100;
const MESSAGES_BURST_MAX = 200;

/** A token bucket. */
export class MessageAllowance {
  #left = MESSAGES_BURST_MAX;
  #at: number;

  constructor(now: number) {
    this.#at = now;
  }

  /** Whether one more may be read. */
  take(now: number): boolean {
    const earned = (now - this.#at) / 1000 * MESSAGES_PER_SECOND_MAX;
    this.#left = Math.min(MESSAGES_BURST_MAX, this.#left + earned);
    this.#at = now;
    if (this.#left < 1) return false;
    --this.#left;
    return true;
  }
}
