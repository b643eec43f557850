/** WebSockets by key: how many are connected, and how many may be. Pure.
 *
 * A slot is held from the handshake until the connection is gone, not only until we close it: a
 * peer that answers no close frame stays connected, and what it sends is still read.
 * @module */
import { ANYONE, type Principal } from "./auth.ts";
import { tooManySockets, unavailable } from "./errors.ts";

/** Of a key that has no `sockets_max`. One socket carries many generations. */
export const SOCKETS_BY_KEY_MAX = 16;

export class SocketSlots {
  readonly #counts = new Map<string, number>();
  #count = 0;

  /** Over all keys. */
  get count(): number {
    return this.#count;
  }

  /** Without keys everyone is one principal, whom the bound over all holds alone.
   * @param most Over all keys.
   * @returns What gives the slot back; idempotent.
   * @throws {ApiError} 429 or 503. */
  take({ keyId, socketsMax = SOCKETS_BY_KEY_MAX }: Principal, most: number): () => void {
    const count = this.#counts.get(keyId) ?? 0;
    if (keyId !== ANYONE.keyId && count >= socketsMax) throw tooManySockets(socketsMax);
    if (this.#count >= most) {
      throw unavailable("too_many_sockets", "Too many WebSockets are open.");
    }
    this.#counts.set(keyId, count + 1);
    ++this.#count;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      --this.#count;
      const left = this.#counts.get(keyId)! - 1;
      if (left > 0) this.#counts.set(keyId, left);
      else this.#counts.delete(keyId);
    };
  }
}
