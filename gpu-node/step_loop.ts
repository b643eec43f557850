/** The step loop: one native call under way at a time, and while it runs this thread hands out what
 * the last one gave. Idle, it sleeps until it is woken or a deadline passes; it never polls.
 * @module */

import type { EngineStatusName } from "./abi.ts";
import { EngineError, type NativeEngine } from "./native_engine.ts";
import type { Scheduler } from "./scheduler.ts";
import type { StepCodec } from "./step_codec.ts";
import type { StepPlan } from "./step_plan.ts";

/** After these the node goes on: the step's sequences fail, and who takes their slots resets them.
 */
const RECOVERABLE: ReadonlySet<EngineStatusName> = new Set(["bad_plan", "no_memory", "no_space"]);

// setTimeout takes 31 bits; a later deadline is looked at again when this has passed.
const SLEEP_MS_MAX = 1 << 30;

/** Where engines share a machine in turns (a benchmark's two sides): waits for this one's.
 * @returns What ends the turn. */
export type TakeTurn = () => Promise<() => void>;

export class StepLoop {
  readonly #native: NativeEngine;
  readonly #scheduler: Scheduler;
  readonly #codec: StepCodec;
  readonly #now: () => number;
  readonly #takeTurn: TakeTurn | undefined;
  #stopping = false;
  /** A sink that throws is a bug of ours; it comes up once no call is under way. */
  #sinkError: unknown;
  #wake: (() => void) | undefined;

  constructor(
    native: NativeEngine,
    scheduler: Scheduler,
    codec: StepCodec,
    now: () => number,
    takeTurn?: TakeTurn,
  ) {
    this.#native = native;
    this.#scheduler = scheduler;
    this.#codec = codec;
    this.#now = now;
    this.#takeTurn = takeTurn;
  }

  /** Runs until `stop`.
   * @throws {EngineError} If the engine broke; all sequences have failed by then. */
  async run(): Promise<void> {
    try {
      while (!this.#stopping) {
        const endTurn = this.#takeTurn && await this.#takeTurn();
        const plan = this.#scheduler.plan(this.#now());
        // Nothing may come between an empty plan and listening: whoever submits then wakes nobody.
        if (plan === undefined) await this.#idle(endTurn);
        else await this.#step(plan).finally(endTurn);
        if (this.#sinkError !== undefined) throw this.#sinkError;
      }
      this.#scheduler.failAll("Cannot go on with request: the engine is closing", this.#now());
      this.#deliver();
    } catch (error) {
      this.#stopping = true;
      this.#scheduler.failAll("Cannot go on with request: the engine broke", this.#now());
      this.#deliver();
      throw error;
    }
  }

  /** There is something to do: a submission, a cancellation, a reader that has caught up. */
  wake(): void {
    this.#wake?.();
  }

  stop(): void {
    this.#stopping = true;
    this.wake();
  }

  async #step(plan: StepPlan): Promise<void> {
    const call = this.#native.step(this.#codec.encode(plan), this.#codec.result);
    this.#deliver();
    try {
      await call;
    } catch (error) {
      if (!(error instanceof EngineError) || !RECOVERABLE.has(error.status)) throw error;
      this.#scheduler.fail(error.message, this.#now());
      return;
    }
    this.#scheduler.apply(this.#codec.decode(plan), this.#now());
  }

  async #idle(endTurn?: () => void): Promise<void> {
    const woken = new Promise<void>((resolve) => this.#wake = resolve);
    if (this.#stopping) this.wake(); // While it waited for its turn.
    endTurn?.();
    // A sink may wake the loop, so it must already be listening.
    this.#deliver();
    const sleepMs = this.#scheduler.nextDeadline() - this.#now();
    const timer = Number.isFinite(sleepMs)
      ? setTimeout(() => this.wake(), Math.min(Math.max(0, sleepMs), SLEEP_MS_MAX))
      : undefined;
    await woken;
    clearTimeout(timer);
    this.#wake = undefined;
  }

  #deliver(): void {
    for (const { sink, event } of this.#scheduler.takeDeliveries()) {
      try {
        sink(event);
      } catch (error) {
        this.#sinkError ??= error;
      }
    }
  }
}
