/** Whether a request may become a sequence. The wire has its own bounds; these are the engine's,
 * and in-process callers meet them too. Pure. @module */

import type { Sampling } from "../proto/sampling.ts";
import { ABI } from "./abi.ts";
import { budgetProblem } from "./draft_budget.ts";
import type { SequenceRequest } from "./engine.ts";

export interface RequestLimits {
  vocabSize: number;
  /** Tokens of the longest sequence, by the model's context and by the pages there are. */
  contextMax: number;
}

export interface RequestProblem {
  code: "bad_request" | "context_overflow";
  message: string;
}

const U32_MAX = 0xffff_ffff;

function isInteger(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function samplingProblem(sampling: Sampling, vocabSize: number): string | undefined {
  const finite: (keyof Sampling & string)[] = ["presencePenalty", "frequencyPenalty"];
  for (const field of finite) {
    if (!Number.isFinite(sampling[field])) return `${field} is not a finite number`;
  }
  const ranges: [keyof Sampling & string, number, number, number][] = [
    ["temperature", sampling.temperature, 0, Number.MAX_VALUE],
    ["topP", sampling.topP, 0, 1],
    ["minP", sampling.minP, 0, 1],
    ["repetitionPenalty", sampling.repetitionPenalty, Number.MIN_VALUE, Number.MAX_VALUE],
  ];
  for (const [field, value, min, max] of ranges) {
    if (!(value >= min && value <= max)) return `${field} is ${value}, not in [${min}, ${max}]`;
  }
  if (!isInteger(sampling.topK, 0, U32_MAX)) return `topK is ${sampling.topK}`;
  if (!isInteger(sampling.seedLow, 0, U32_MAX)) return `seedLow is ${sampling.seedLow}`;
  if (!isInteger(sampling.seedHigh, 0, U32_MAX)) return `seedHigh is ${sampling.seedHigh}`;
  if (!isInteger(sampling.logprobs, 0, ABI.logprobsMax + 1)) {
    return `logprobs is ${sampling.logprobs}, not an integer in [0, ${ABI.logprobsMax + 1}]`;
  }
  if (sampling.logitBias.length > ABI.biasMax) return `more than ${ABI.biasMax} logit biases`;
  for (const [token, bias] of sampling.logitBias) {
    if (!isInteger(token, 0, vocabSize - 1)) return `a logit bias is for ${token}, no token id`;
    if (!Number.isFinite(bias)) return `the logit bias of ${token} is not a finite number`;
  }
  return undefined;
}

/** What is wrong with `request`; `undefined` if nothing. */
export function requestProblem(
  request: SequenceRequest,
  limits: RequestLimits,
): RequestProblem | undefined {
  const bad = (message: string): RequestProblem => ({
    code: "bad_request",
    message: `Cannot run request: ${message}`,
  });
  const { tokens, generatedCount, tokensMax, sampling, budget } = request;
  if (tokens.length === 0) return bad("it has no tokens");
  if (tokens.length >= limits.contextMax) {
    return {
      code: "context_overflow",
      message: `Cannot run request: ${tokens.length} tokens leave no room in a context of ` +
        `${limits.contextMax}`,
    };
  }
  const at = tokens.findIndex((token) => token >= limits.vocabSize);
  if (at >= 0) return bad(`tokens[${at}] is ${tokens[at]}, the vocabulary has ${limits.vocabSize}`);
  if (!isInteger(generatedCount, 0, tokens.length - 1)) {
    return bad(`generatedCount is ${generatedCount} of ${tokens.length} tokens`);
  }
  if (!isInteger(tokensMax, 1, U32_MAX)) return bad(`tokensMax is ${tokensMax}`);
  const problem = samplingProblem(sampling, limits.vocabSize) ??
    (budget === undefined ? undefined : budgetProblem(budget));
  return problem === undefined ? undefined : bad(problem);
}
