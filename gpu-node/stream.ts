/** One stream of a socket: what its sequence gains goes out as its reader grants credit. Pure: it
 * is handed where frames go and how its sequence is paused.
 *
 * A step that is planned before the credit ran out may still bring tokens. They wait here, and the
 * sequence is paused until they are gone, so what waits is bounded by two steps.
 * @module */

import { assert } from "../proto/assert.ts";
import type { FinishFrame, Frame, StepTrace, SubmitFrame, TokenLogprobs } from "../proto/frame.ts";
import { LIMITS } from "../proto/limits.ts";
import { ABI } from "./abi.ts";
import type { EngineEvent, SequenceRequest, SequenceStep } from "./engine.ts";
import { NO_BUDGET } from "./step_plan.ts";

/** One step was under way and the next one planned when the credit ran out. */
export const BUFFERED_TOKENS_MAX = 2 * ABI.beamLengthMax;

export interface StreamHooks {
  send(frame: Frame): void;
  setPaused(paused: boolean): void;
  /** Its last frame has been sent. */
  end(): void;
}

/** The engine's request for a Submit. `now` is on the engine's clock. */
export function requestOf(frame: SubmitFrame, id: number, now: number): SequenceRequest {
  const { mode, beamWidth, beamLength, packedMax, wantTree } = frame.speculation;
  const budget = mode === "off"
    ? NO_BUDGET
    : { beamWidth, beamLength, packedMax, pathMax: ABI.beamLengthMax };
  return {
    id,
    tokens: frame.tokens,
    generatedCount: frame.generatedCount,
    tokensMax: frame.tokensMax,
    stopTokens: new Set(frame.stopTokens),
    sampling: frame.sampling,
    ...(mode === "default" ? {} : { budget }),
    wantTree,
    priority: frame.priority,
    salt: frame.salt,
    ignorePrefix: frame.ignorePrefix,
    ...(frame.schema === undefined ? {} : { schema: frame.schema }),
    deadline: frame.deadlineMs === 0 ? Infinity : now + frame.deadlineMs,
  };
}

export class Stream {
  readonly #hooks: StreamHooks;
  readonly #streamId: number;
  #credit: number;
  #congested = false;
  #paused = false;
  #sentCount = 0;
  #tokens: number[] = [];
  #logprobs: TokenLogprobs[] = [];
  #steps: StepTrace[] = [];
  #last: Frame | undefined;

  constructor(streamId: number, credit: number, hooks: StreamHooks) {
    this.#streamId = streamId;
    this.#credit = credit;
    this.#hooks = hooks;
  }

  /** Pauses at once if there is no credit yet. Called when the engine knows the sequence. */
  start(): void {
    this.#flush();
  }

  take(event: EngineEvent): void {
    assert(this.#last === undefined, "nothing follows the end of a stream");
    const streamId = this.#streamId;
    if (event.kind === "step") {
      this.#push(event.step);
    } else if (event.kind === "finish") {
      this.#last = { kind: "finish", streamId, ...event.finish } satisfies FinishFrame;
    } else {
      const { code, replaySafe } = event;
      const message = event.message.slice(0, LIMITS.messageBytesMax / 4);
      this.#last = { kind: "failure", streamId, code, message, replaySafe };
      // The reader learns of a failure at once; what it has not granted it shall not have.
      this.#tokens = [];
      this.#logprobs = [];
      this.#steps = [];
    }
    this.#flush();
  }

  addCredit(tokens: number): void {
    this.#credit = Math.min(this.#credit + tokens, LIMITS.creditMax);
    this.#flush();
  }

  /** The socket has more to send than its peer takes. */
  setCongested(congested: boolean): void {
    this.#congested = congested;
    this.#flush();
  }

  #push(step: SequenceStep): void {
    this.#tokens.push(...step.tokens);
    this.#logprobs.push(...step.logprobs);
    const { draftedCount, acceptedCount, tree } = step;
    this.#steps.push({ tokenCount: step.tokens.length, draftedCount, acceptedCount, tree });
    assert(
      this.#tokens.length <= BUFFERED_TOKENS_MAX || this.#credit > 0,
      "a paused sequence brings no more than the steps that were under way",
    );
  }

  #flush(): void {
    const count = this.#congested ? 0 : Math.min(this.#credit, this.#tokens.length);
    const hasSteps = this.#steps.length > 0 && (count > 0 || this.#tokens.length === 0);
    if (count > 0 || hasSteps) {
      this.#hooks.send({
        kind: "tokens",
        streamId: this.#streamId,
        firstIndex: this.#sentCount,
        tokens: this.#tokens.splice(0, count),
        logprobs: this.#logprobs.splice(0, count),
        steps: this.#steps.splice(0),
      });
      this.#credit -= count;
      this.#sentCount += count;
    }
    if (this.#last !== undefined) {
      if (this.#tokens.length > 0) return;
      this.#hooks.send(this.#last);
      this.#hooks.end();
      return;
    }
    const paused = this.#credit === 0 || this.#tokens.length > 0 || this.#congested;
    if (paused === this.#paused) return;
    this.#paused = paused;
    this.#hooks.setPaused(paused);
  }
}
