/** Requests for tests. @module */

import type { SamplingOptions, SequenceRequest } from "../../gpu-node/engine.ts";

export const GREEDY: SamplingOptions = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seedLow: 0,
  seedHigh: 0,
  logprobs: 0,
  logitBias: [],
};

export function sequenceRequest(changes: Partial<SequenceRequest> = {}): SequenceRequest {
  return {
    id: 1,
    tokens: Uint32Array.of(1, 2, 3),
    generatedCount: 0,
    tokensMax: 16,
    stopTokens: new Set(),
    sampling: GREEDY,
    wantTree: false,
    priority: 0,
    salt: "",
    ignorePrefix: false,
    deadline: Infinity,
    ...changes,
  };
}

/** `count` tokens that depend on `seed` alone. */
export function promptTokens(count: number, seed: number, vocabSize = 97): Uint32Array {
  return Uint32Array.from(
    { length: count },
    (_, i) => (i * 31 + seed * 17 + (i * seed) % 7) % vocabSize,
  );
}
