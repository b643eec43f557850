/** What the node knows of kernels: submit, cancel, results. Two kinds stand behind it: the step
 * engine (our scheduler over `redraft_step`) and the executor engine (TensorRT-LLM). Pure types.
 * @module */

import type { Sampling } from "../proto/sampling.ts";
import type { StepMicros } from "./step_plan.ts";

/** Budget of one sequence's next draft tree. `packedMax <= 1` drafts nothing. */
export interface DraftBudget {
  beamWidth: number;
  /** Includes the init token. */
  beamLength: number;
  /** Packed tokens, root included. */
  packedMax: number;
  /** Tokens of the longest path where lookups in the sequence's own past lengthen it, init token
   * included; no lookups without it. */
  pathMax?: number;
  /** Paths less likely to be accepted than this are not followed. */
  chanceMin?: number;
}

export interface SequenceRequest {
  /** The caller's name for it; unique among those that have not ended. */
  id: number;
  /** Prompt, then tokens that the model generated before (a move from another node). */
  tokens: Uint32Array;
  /** How many of `tokens`, at the end, the model generated itself. */
  generatedCount: number;
  /** New tokens at most; fewer where the context ends before. */
  tokensMax: number;
  stopTokens: ReadonlySet<number>;
  sampling: Sampling;
  /** `undefined`: the engine's own choice. */
  budget?: DraftBudget;
  wantTree: boolean;
  /** Higher goes first. */
  priority: number;
  /** Prefix pages are shared among equal salts alone. */
  salt: string;
  /** Takes no prefix pages of others (verification runs). */
  ignorePrefix: boolean;
  /** The text of a JSON schema that the answer keeps; none = free. */
  schema?: string;
  /** On the engine's clock (`performance.now()`), in milliseconds; `Infinity` = none. */
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

/** What one step gave one sequence; `tokens` is empty where it drew a stop token first. */
export interface SequenceStep {
  tokens: number[];
  /** One a token, or empty. */
  logprobs: TokenLogprobs[];
  draftedCount: number;
  /** Accepted draft tokens among `tokens`. */
  acceptedCount: number;
  tree: PackedToken[];
}

export interface SequenceFinish {
  reason: "stop" | "length" | "cancelled";
  /** Only with "stop"; it is not among the sequence's tokens. */
  stopToken?: number;
  promptCount: number;
  /** Tokens delivered; a stop token is not. */
  generatedCount: number;
  /** Prompt tokens whose KV rows were there already. */
  cachedCount: number;
  draftedCount: number;
  acceptedCount: number;
  /** Steps that drew a token. */
  stepCount: number;
  queueMs: number;
  contextMs: number;
  generationMs: number;
}

export type EngineFailureCode =
  | "bad_request"
  | "context_overflow"
  | "queue_full"
  | "draining"
  | "deadline"
  | "engine";

export type EngineEvent =
  | { kind: "step"; id: number; step: SequenceStep }
  | { kind: "finish"; id: number; finish: SequenceFinish }
  | {
    kind: "failure";
    id: number;
    code: EngineFailureCode;
    message: string;
    /** The same request may be sent to another node. */
    replaySafe: boolean;
  };

/** Takes one sequence's events, in order. It may be called before `submit` returns (a refusal), and
 * may itself call the engine. */
export type EventSink = (event: EngineEvent) => void;

export interface EngineStatus {
  queueCount: number;
  slotsBusy: number;
  slotsMax: number;
  /** Held by no sequence, whether empty or cached. */
  pagesFree: number;
  pagesCached: number;
  pagesMax: number;
  contextTokensWaiting: number;
}

/** Sums since the engine opened. */
export interface EngineCounters {
  stepCount: number;
  micros: StepMicros;
  rowCount: number;
  promptTokens: number;
  generatedTokens: number;
  /** Steps of single sequences that drew tokens; generatedTokens over it is the tokens per step. */
  sequenceSteps: number;
  /** Of these, the ones that verified a tree. */
  draftCount: number;
  draftedTokens: number;
  acceptedTokens: number;
  /** Element d: draft tokens accepted at depth d + 1. */
  acceptedByDepth: number[];
  prefixQueries: number;
  prefixHits: number;
  preemptions: number;
}

/** Block hashes stored and removed since the last report; a block in both lists is in neither. */
export interface BlockReport {
  stored: BigUint64Array;
  removed: BigUint64Array;
}

/** Every submitted sequence ends in exactly one `finish` or `failure` event, a refused one too. */
export interface Engine {
  readonly model: ModelInfo;
  /** Never throws for a bad request: the answer is a `failure` event. */
  submit(request: SequenceRequest, sink: EventSink): void;
  /** Its slot and pages are free within one step; the `finish` event says "cancelled". Unknown ids
   * are ignored. */
  cancel(id: number): void;
  /** Pauses or resumes a sequence whose reader lags (credit used up). Paused, it takes no step; it
   * keeps its pages until someone else needs them. */
  setPaused(id: number, paused: boolean): void;
  /** Refuses what comes from now on; what is queued or runs goes on. */
  drain(): void;
  status(): EngineStatus;
  counters(): EngineCounters;
  takeBlockReport(): BlockReport;
  /** All blocks stored now, for a gateway that has just come. */
  storedBlocks(): BigUint64Array;
  /** Settles when the engine can do no more: resolves after `close()`, rejects if it broke. */
  readonly ended: Promise<void>;
  /** Stops the step loop, ends what runs as a failure, joins the engine's threads. */
  close(): Promise<void>;
}

/** As `redraft_model_info` gives it, in our names. */
export interface ModelInfo {
  id: string;
  digest: string;
  tokenizerDigest: string;
  tokenizerJson: Uint8Array;
  /** Empty without a draft head. */
  headDigest: string;
  architecture: string;
  vocabSize: number;
  contextMax: number;
  hiddenSize: number;
  pageTokens: number;
  slotsMax: number;
  pagesMax: number;
  rowsMax: number;
  backend: string;
  /** Why this backend, for people. */
  backendReason: string;
  /** Of the CPU, the widest instructions that its products use; of a GPU, its architecture. */
  isa: string;
  /** A GPU's name, or empty. */
  device: string;
  /** Of a GPU: how the layers' weights lie there, and what multiplies them. */
  layerWeights?: string;
  kvBytesPerToken: number;
  weightBytes: number;
  /** Of a GPU: what its memory is planned for, for people. */
  memory?: string;
}
