/** The constants of redraft.h that TypeScript shares; engine_ffi_test.ts compares them with the
 * header. Pure. @module */

import { assert } from "../proto/assert.ts";

export const ABI = {
  version: 3,
  pageTokens: 16,
  treeTokensMax: 64,
  beamWidthMax: 32,
  beamLengthMax: 16,
  logprobsMax: 20,
  biasMax: 1024,
  planMagic: 0x4e4c5052,
  resultMagic: 0x53455252,
  planReset: 1,
  planSample: 2,
  planTree: 4,
  planMask: 8,
  planDraft: 16,
  planNext: 32,
  planHeaderWords: 8,
  resultHeaderWords: 12,
  planRecordWords: 14,
  samplingWords: 12,
  resultRecordWords: 10,
} as const;

/** Statuses by their number. */
export const STATUS_NAMES = [
  "ok",
  "bad_argument",
  "bad_config",
  "bad_model",
  "bad_head",
  "bad_plan",
  "no_memory",
  "no_space",
  "unsupported",
  "internal",
] as const;

export type EngineStatusName = typeof STATUS_NAMES[number];

// Plans and results are written in the machine's order, and the ABI is little-endian.
assert(
  new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
  "the engine runs on little-endian machines",
);
