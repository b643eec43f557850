/** How tokens are drawn, on the wire and in the engine alike. Pure. @module */

/** How a sequence draws its tokens; field meanings as in `redraft.proto`, all defaults applied. */
export interface Sampling {
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  presencePenalty: number;
  frequencyPenalty: number;
  seedLow: number;
  seedHigh: number;
  /** 0 = none, 1 + n = the drawn token's log-probability and the n best. */
  logprobs: number;
  logitBias: ReadonlyArray<readonly [token: number, bias: number]>;
}

/** Each token the likeliest, nothing changed or reported. */
export const GREEDY: Sampling = {
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
