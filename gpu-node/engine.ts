/** What the node knows of kernels: submit, cancel, results. Two kinds stand behind it: the step engine (our scheduler over
 * `redraft_step`) and the executor engine (TensorRT-LLM). @module */

/** How a sequence draws its tokens; field meanings as in `proto/redraft.proto`, all defaults already applied. */
export interface SamplingOptions {
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

/** Budget of one sequence's next draft tree. `packedMax <= 1` drafts nothing. */
export interface DraftBudget {
  beamWidth: number;
  /** Includes the init token. */
  beamLength: number;
  /** Packed tokens, root included. */
  packedMax: number;
}

export interface SequenceRequest {
  /** The caller's name for it; unique among the running ones. */
  id: number;
  /** Prompt, then tokens that the model generated before (a move from another node). */
  tokens: Uint32Array;
  /** How many of `tokens`, at the end, the model generated itself. */
  generatedCount: number;
  /** New tokens at most. */
  tokensMax: number;
  stopTokens: ReadonlySet<number>;
  sampling: SamplingOptions;
  /** `undefined`: the engine's own choice. */
  budget?: DraftBudget;
  wantTree: boolean;
  priority: number;
  salt: string;
  ignorePrefix: boolean;
  /** On the engine's clock, in milliseconds; `Infinity` = none. */
  deadline: number;
}

export interface PackedToken {
  token: number;
  parent: number;
  logprob: number;
  accepted: boolean;
}

export interface TokenLogprobs {
  logprob: number;
  top: ReadonlyArray<readonly [token: number, logprob: number]>;
}

/** What one step gave one sequence. */
export interface SequenceStep {
  tokens: number[];
  logprobs: TokenLogprobs[];
  draftedCount: number;
  acceptedCount: number;
  tree: PackedToken[];
}

export interface SequenceFinish {
  reason: "stop" | "length" | "cancelled";
  stopToken?: number;
  promptCount: number;
  generatedCount: number;
  cachedCount: number;
  draftedCount: number;
  acceptedCount: number;
  stepCount: number;
  queueMs: number;
  contextMs: number;
  generationMs: number;
}

export type EngineFailureCode =
  | "bad_request" | "context_overflow" | "queue_full" | "draining" | "deadline" | "engine";

export type EngineEvent =
  | { kind: "step"; id: number; step: SequenceStep }
  | { kind: "finish"; id: number; finish: SequenceFinish }
  | { kind: "failure"; id: number; code: EngineFailureCode; message: string; replaySafe: boolean };

export interface EngineStatus {
  queueCount: number;
  slotsBusy: number;
  slotsMax: number;
  pagesFree: number;
  pagesMax: number;
  contextTokensWaiting: number;
}

/** Every submitted sequence ends in exactly one `finish` or `failure` event, a refused one included. */
export interface Engine {
  readonly model: ModelInfo;
  /** Never throws for a bad request: the answer is a `failure` event. */
  submit(request: SequenceRequest): void;
  /** Its slot and pages are free within one step; the `finish` event says "cancelled". Unknown ids are ignored. */
  cancel(id: number): void;
  /** Pauses or resumes a sequence whose reader lags (credit used up); paused, it holds its pages but takes no step. */
  setPaused(id: number, paused: boolean): void;
  status(): EngineStatus;
  /** Stops the step loop, ends what runs as a failure, joins the engine's threads. */
  close(): Promise<void>;
}

/** As `redraft_model_info` gives it, in our names. */
export interface ModelInfo {
  id: string;
  digest: string;
  tokenizerDigest: string;
  tokenizerJson: Uint8Array;
  headDigest: string;
  architecture: string;
  vocabSize: number;
  contextMax: number;
  pageTokens: number;
  slotsMax: number;
  pagesMax: number;
  rowsMax: number;
  backend: string;
  kvBytesPerToken: number;
  weightBytes: number;
}
