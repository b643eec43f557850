/** Every bound of the wire, named once. Gateway and node check against the same numbers. Pure.
 * @module */

import { assert } from "./assert.ts";

/** What Hello and Welcome carry; a peer of another version is refused, never guessed at. */
export const PROTOCOL_VERSION = 1;
/** The WebSocket subprotocol. */
export const SUBPROTOCOL = "redraft.v1";

const MIB = 1 << 20;

/** Bounds of frames and of the fields in them. */
export const LIMITS = {
  frameBytesMax: 4 * MIB,
  /** Tokens of the longest prompt that any node may hold; a node's own `contextMax` is lower. */
  contextMax: 1 << 18,
  vocabSizeMax: 1 << 21,
  /** Generated tokens that one Tokens frame may carry. */
  tokensPerFrameMax: 4096,
  stepsPerFrameMax: 1024,
  treeTokensMax: 64,
  beamWidthMax: 32,
  beamLengthMax: 16,
  logprobsMax: 20,
  logitBiasMax: 1024,
  stopTokensMax: 64,
  creditMax: 1 << 20,
  priorityMax: 100,
  deadlineMsMax: 24 * 60 * 60 * 1000,
  temperatureMax: 100,
  topKMax: 1 << 21,
  repetitionPenaltyMax: 100,
  penaltyMax: 100,
  biasMax: 1000,
  idBytesMax: 256,
  saltBytesMax: 256,
  traceparentBytesMax: 128,
  schemaBytesMax: 64 * 1024,
  messageBytesMax: 4096,
  queueMax: 65_536,
  slotsMax: 4096,
  pageTokensMax: 1024,
  pagesMax: 1 << 24,
  /** Block hashes in one Status; a longer report goes out in several. */
  blocksPerStatusMax: 1 << 16,
  tokenizerChunkBytesMax: 256 * 1024,
  tokenizerChunksMax: 1024,
  /** Streams that one socket may have open at once. */
  streamsPerSocketMax: 4096,
} as const;

/** Bytes of the longest varint of an unsigned 32-bit number below `bound`. */
function varintBytesMax(bound: number): number {
  return Math.ceil(Math.ceil(Math.log2(bound)) / 7);
}

// Every field but the prompt, generously: biases are (tag, length, 5-byte id, 5-byte float) each.
const SUBMIT_BYTES_BESIDE_PROMPT = LIMITS.logitBiasMax * 16 + LIMITS.stopTokensMax * 5 +
  LIMITS.saltBytesMax + LIMITS.traceparentBytesMax + LIMITS.schemaBytesMax + 512;
assert(
  LIMITS.contextMax * varintBytesMax(LIMITS.vocabSizeMax) + SUBMIT_BYTES_BESIDE_PROMPT <=
    LIMITS.frameBytesMax,
  "the longest legal prompt fits a frame",
);
assert(
  LIMITS.blocksPerStatusMax * 8 * 2 + 1024 <= LIMITS.frameBytesMax,
  "the longest legal block report fits a frame",
);
assert(
  LIMITS.tokensPerFrameMax * (16 + LIMITS.logprobsMax * 10) + LIMITS.stepsPerFrameMax * 32 +
      LIMITS.stepsPerFrameMax * LIMITS.treeTokensMax * 24 <=
    LIMITS.frameBytesMax,
  "the longest legal run of tokens fits a frame",
);
assert(LIMITS.tokenizerChunkBytesMax + 1024 <= LIMITS.frameBytesMax);
