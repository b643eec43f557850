/** Requests for tests. @module */

import type { SequenceRequest } from "../../gpu-node/engine.ts";
import { GREEDY } from "../../proto/sampling.ts";

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
