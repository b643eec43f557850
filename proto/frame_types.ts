/** Frames as the program sees them: one flat record a kind, every default applied. The names and
 * meanings are those of redraft.proto. Pure types. @module */

import type { Sampling } from "./sampling.ts";

export interface HelloFrame {
  kind: "hello";
  protocolVersion: number;
  gatewayId: string;
  /** The node may send several frames in one message. */
  takesSeveral?: boolean;
}

export interface ModelCard {
  id: string;
  digest: string;
  tokenizerDigest: string;
  headDigest: string;
  vocabSize: number;
  contextMax: number;
  created: number;
  architecture: string;
}

export interface WelcomeFrame {
  kind: "welcome";
  protocolVersion: number;
  nodeId: string;
  model: ModelCard;
  pageTokens: number;
  slotsMax: number;
  pagesMax: number;
  queueMax: number;
  backend: string;
}

export type SpeculationMode = "default" | "off" | "fixed";

export interface Speculation {
  mode: SpeculationMode;
  /** The three below are read when `mode` is "fixed" and 0 otherwise. */
  beamWidth: number;
  beamLength: number;
  packedMax: number;
  wantTree: boolean;
}

export interface SubmitFrame {
  kind: "submit";
  streamId: number;
  tokens: Uint32Array;
  generatedCount: number;
  tokensMax: number;
  sampling: Sampling;
  stopTokens: readonly number[];
  speculation: Speculation;
  credit: number;
  priority: number;
  salt: string;
  traceparent: string;
  /** From arrival; 0 = none. */
  deadlineMs: number;
  ignorePrefix: boolean;
  /** The text of a JSON schema that the answer keeps; absent = free. */
  schema?: string;
}

export interface CancelFrame {
  kind: "cancel";
  streamId: number;
}

export interface CreditFrame {
  kind: "credit";
  streamId: number;
  tokens: number;
}

export interface TokenLogprobs {
  logprob: number;
  top: ReadonlyArray<readonly [token: number, logprob: number]>;
}

export interface PackedToken {
  token: number;
  parent: number;
  logprob: number;
  accepted: boolean;
}

export interface StepTrace {
  tokenCount: number;
  draftedCount: number;
  acceptedCount: number;
  tree: readonly PackedToken[];
}

export interface TokensFrame {
  kind: "tokens";
  streamId: number;
  firstIndex: number;
  tokens: readonly number[];
  /** One a token, or empty. */
  logprobs: readonly TokenLogprobs[];
  steps: readonly StepTrace[];
}

export type FinishReason = "stop" | "length" | "cancelled";

export interface FinishFrame {
  kind: "finish";
  streamId: number;
  reason: FinishReason;
  promptCount: number;
  generatedCount: number;
  cachedCount: number;
  draftedCount: number;
  acceptedCount: number;
  stepCount: number;
  /** Only with reason "stop"; it is not among the stream's tokens. */
  stopToken?: number;
  queueMs: number;
  contextMs: number;
  generationMs: number;
}

export type FailureCode =
  | "internal"
  | "bad_request"
  | "context_overflow"
  | "queue_full"
  | "draining"
  | "deadline"
  | "engine"
  | "bad_frame"
  | "version"
  | "unknown_frame";

export interface FailureFrame {
  kind: "failure";
  /** 0: of the socket, not of a stream. */
  streamId: number;
  code: FailureCode;
  message: string;
  replaySafe: boolean;
}

/** Sums over all gateways since the node opened. */
export interface NodeTotals {
  promptTokens: number;
  cachedTokens: number;
  steps: number;
  draftedTokens: number;
  /** Element d: steps that accepted more than d draft tokens. */
  acceptedByDepth: readonly number[];
}

export interface StatusFrame {
  kind: "status";
  queueCount: number;
  slotsBusy: number;
  pagesFree: number;
  blocksStored: BigUint64Array;
  blocksRemoved: BigUint64Array;
  tokensPerStep: number;
  tokensPerSecond: number;
  contextTokensWaiting: number;
  totals: NodeTotals;
}

export interface DrainFrame {
  kind: "drain";
  deadlineMs: number;
}

export interface TokenizerGetFrame {
  kind: "tokenizerGet";
  digest: string;
}

export interface TokenizerChunkFrame {
  kind: "tokenizerChunk";
  digest: string;
  index: number;
  count: number;
  json: Uint8Array;
}

export type Frame =
  | HelloFrame
  | WelcomeFrame
  | SubmitFrame
  | CancelFrame
  | CreditFrame
  | TokensFrame
  | FinishFrame
  | FailureFrame
  | StatusFrame
  | DrainFrame
  | TokenizerGetFrame
  | TokenizerChunkFrame;

export type FrameKind = Frame["kind"];

export type FrameErrorCode = "too_large" | "malformed" | "unknown_kind" | "bad_field";

/** A frame that may not be sent, or that a peer should not have sent. */
export class FrameError extends Error {
  override readonly name = "FrameError";
  /** @param field The field at fault, as `submit.sampling.top_p`; empty if the frame has none.
   * @param streamId The stream it names, so that this stream alone fails; 0 if it is not known. */
  constructor(
    message: string,
    readonly code: FrameErrorCode,
    readonly field: string = "",
    readonly streamId: number = 0,
  ) {
    super(message);
  }
}
