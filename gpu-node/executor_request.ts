/** What of a request TensorRT-LLM's ReDrafter cannot do. Pure. @module */

import type { EngineCounters, SequenceRequest } from "./engine.ts";
import { NO_MICROS } from "./step_plan.ts";

/** A field that ReDrafter in TensorRT-LLM does not read, where the request sets it. */
export function unsupportedField({ sampling, schema }: SequenceRequest): string | undefined {
  const { topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty } = sampling;
  const wrong: Array<[string, boolean]> = [
    ["topK", topK !== 0],
    ["topP", topP !== 1],
    ["minP", minP !== 0],
    ["repetitionPenalty", repetitionPenalty !== 1],
    ["presencePenalty", presencePenalty !== 0],
    ["frequencyPenalty", frequencyPenalty !== 0],
    ["logitBias", sampling.logitBias.length > 0],
    ["logprobs", sampling.logprobs !== 0],
    ["schema", schema !== undefined],
  ];
  return wrong.find(([, is]) => is)?.[0];
}

export function emptyCounters(): EngineCounters {
  return {
    ...{ stepCount: 0, micros: { ...NO_MICROS }, rowCount: 0, promptTokens: 0 },
    ...{ generatedTokens: 0, sequenceSteps: 0, draftCount: 0, draftedTokens: 0 },
    ...{ acceptedTokens: 0, acceptedByDepth: [], prefixQueries: 0, prefixHits: 0, preemptions: 0 },
  };
}
