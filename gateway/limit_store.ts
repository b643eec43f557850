/** Where limits are counted: in this process, or for all gateways in one place. @module */
import type { Principal } from "./auth.ts";
import { type Decision, type KeyLimits, KeyMeter } from "./limits.ts";
import type { LimitHolder, LimitStates } from "./limits.ts";

/** Counts for keys. Every admission is settled in parts and released once. */
export interface LimitStore extends LimitHolder {
  admit(keyId: string, limits: KeyLimits, tokens: number): Decision | Promise<Decision>;
  /** The keys have changed: what is counted for others, and holds nothing, may be forgotten. */
  retain(keyIds: ReadonlySet<string>): void;
}

/** Keys of this process alone. Bounded by the keys that there are, and those still at work. */
export class MemoryLimits implements LimitStore {
  readonly #meters = new Map<string, KeyMeter>();

  /** @param now Epoch milliseconds. */
  constructor(readonly now: () => number) {}

  admit(keyId: string, limits: KeyLimits, tokens: number): Decision {
    const decision = this.meter(keyId).admit(limits, tokens, this.now());
    return decision.kind === "admitted" ? { ...decision, holder: this } : decision;
  }

  settle(keyId: string, _limits: KeyLimits, reserved: number, used: number): void {
    this.meter(keyId).settle(reserved, used, this.now());
  }

  release(keyId: string): void {
    this.meter(keyId).release();
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

  constructor(
    readonly principal: Principal,
    readonly holder: LimitHolder,
    readonly states: LimitStates,
  ) {}

  /** Called once for each part of what was reserved. */
  settle(reserved: number, used: number): void {
    const { limits, keyId } = this.principal;
    if (limits !== undefined) this.holder.settle(keyId, limits, reserved, used);
  }

  /** Idempotent: the request is no longer in flight. */
  release(): void {
    const { limits, keyId } = this.principal;
    if (this.#released || limits === undefined) return;
    this.#released = true;
    this.holder.release(keyId, limits);
  }
}
