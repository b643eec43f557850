/** One sequence from submission to end, as a promise: for commands that hold the engine in their
 * own process (bench, verify, training) and for tests. @module */

import type {
  Engine,
  EngineFailureCode,
  SequenceFinish,
  SequenceRequest,
  SequenceStep,
  TokenLogprobs,
} from "./engine.ts";

export interface Generation {
  tokens: number[];
  logprobs: TokenLogprobs[];
  /** Each step that drew a token. */
  steps: SequenceStep[];
  finish: SequenceFinish;
  /** From submission, in milliseconds. */
  firstTokenMs: number;
  totalMs: number;
}

/** The engine refused a sequence, or could not bring it to its end. */
export class GenerationError extends Error {
  override readonly name = "GenerationError";
  constructor(message: string, readonly code: EngineFailureCode, readonly replaySafe: boolean) {
    super(message);
  }
}

/** Submits `request` and waits for its end. Many may run at once.
 * @throws {GenerationError} If it ends in a failure. */
export function generate(engine: Engine, request: SequenceRequest): Promise<Generation> {
  return new Promise((resolve, reject) => {
    const startedAt = performance.now();
    const tokens: number[] = [];
    const logprobs: TokenLogprobs[] = [];
    const steps: SequenceStep[] = [];
    let firstTokenMs = 0;
    engine.submit(request, (event) => {
      const elapsedMs = performance.now() - startedAt;
      if (event.kind === "failure") {
        reject(new GenerationError(event.message, event.code, event.replaySafe));
      } else if (event.kind === "finish") {
        const { finish } = event;
        resolve({ tokens, logprobs, steps, finish, firstTokenMs, totalMs: elapsedMs });
      } else {
        if (steps.length === 0) firstTokenMs = elapsedMs;
        steps.push(event.step);
        tokens.push(...event.step.tokens);
        logprobs.push(...event.step.logprobs);
      }
    });
  });
}
