/** Where limits are counted: in this process, or for all gateways in one place. @module */
import { type KeyLimits, KeyMeter, type LimitStates, type Refusal } from "./limits.ts";

/** What an admission reserved, to be given back to who counted it. */
export interface Hold {
  /** Called for each part of it. */
  settle(reserved: number, used: number): void;
  /** Called once: the request is no longer in flight. */
  release(): void;
}

export type Admitted = { kind: "admitted"; states: LimitStates; hold: Hold };

/** Counts for keys. */
export interface LimitStore {
  admit(
    keyId: string,
    limits: KeyLimits,
    tokens: number,
  ): Admitted | Refusal | Promise<Admitted | Refusal>;
  /** The keys have changed: what is counted for others, and holds nothing, may be forgotten. */
  retain(keyIds: ReadonlySet<string>): void;
}

/** Keys of this process alone. Bounded by the keys that there are, and those still at work. */
export class MemoryLimits implements LimitStore {
  readonly #meters = new Map<string, KeyMeter>();

  /** @param now Epoch milliseconds. */
  constructor(readonly now: () => number) {}

  admit(keyId: string, limits: KeyLimits, tokens: number): Admitted | Refusal {
    const meter = this.meter(keyId);
    const decision = meter.admit(limits, tokens, this.now());
    if (decision.kind === "refused") return decision;
    const hold: Hold = {
      settle: (reserved, used) => meter.settle(reserved, used, this.now()),
      release: () => meter.release(),
    };
    return { ...decision, hold };
  }

  retain(keyIds: ReadonlySet<string>): void {
    for (const [keyId, meter] of this.#meters) {
      if (!keyIds.has(keyId) && meter.inFlight === 0 && meter.reservedTokens === 0) {
        this.#meters.delete(keyId);
      }
    }
  }

  get meterCount(): number {
    return this.#meters.size;
  }

  meter(keyId: string): KeyMeter {
    let meter = this.#meters.get(keyId);
    if (meter === undefined) this.#meters.set(keyId, meter = new KeyMeter());
    return meter;
  }

  /** Tokens reserved and requests in flight over all keys: zero when nothing runs. */
  outstanding(): { tokens: number; requests: number } {
    let tokens = 0, requests = 0;
    for (const meter of this.#meters.values()) {
      tokens += meter.reservedTokens;
      requests += meter.inFlight;
    }
    return { tokens, requests };
  }
}

/** One request's hold on its key's limits; for a key without limits it does nothing. */
export class Admission {
  #released = false;

  constructor(readonly states: LimitStates = {}, readonly hold?: Hold) {}

  /** Called once for each part of what was reserved. */
  settle(reserved: number, used: number): void {
    this.hold?.settle(reserved, used);
  }

  /** Idempotent: the request is no longer in flight. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.hold?.release();
  }
}
