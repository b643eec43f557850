/** Frames for tests: one of each kind, and an arbitrary one. @module */

import fc from "fast-check";
import type { Frame, SubmitFrame } from "../../proto/frame.ts";
import { GREEDY, type Sampling } from "../../proto/sampling.ts";

export function submitFrame(changes: Partial<SubmitFrame> = {}): SubmitFrame {
  return {
    kind: "submit",
    streamId: 7,
    tokens: Uint32Array.of(1, 2, 49_151),
    generatedCount: 1,
    tokensMax: 16,
    sampling: GREEDY,
    stopTokens: [2],
    speculation: { mode: "default", beamWidth: 0, beamLength: 0, packedMax: 0, wantTree: false },
    credit: 64,
    priority: 1,
    salt: "tenant",
    traceparent: "",
    deadlineMs: 0,
    ignorePrefix: false,
    ...changes,
  };
}

const DIGEST = "0123456789abcdef".repeat(4);

/** One frame of each kind. */
export const SAMPLES: readonly Frame[] = [
  { kind: "hello", protocolVersion: 1, gatewayId: "gateway-ö" },
  { kind: "hello", protocolVersion: 1, gatewayId: "gateway-1", takesSeveral: true },
  {
    kind: "welcome",
    protocolVersion: 1,
    nodeId: "node-1",
    model: {
      id: "smollm2",
      digest: DIGEST,
      tokenizerDigest: DIGEST,
      headDigest: "",
      vocabSize: 49_152,
      contextMax: 8192,
      created: 1_700_000_000,
      architecture: "llama",
    },
    pageTokens: 16,
    slotsMax: 32,
    pagesMax: 2048,
    queueMax: 256,
    backend: "cpu",
  },
  submitFrame(),
  { kind: "cancel", streamId: 1 },
  { kind: "credit", streamId: 4_294_967_295, tokens: 3 },
  {
    kind: "tokens",
    streamId: 7,
    firstIndex: 5,
    tokens: [0, 49_151],
    logprobs: [{ logprob: -0.5, top: [[1, -0.5], [2, -Infinity]] }, { logprob: 0, top: [] }],
    steps: [{
      tokenCount: 2,
      draftedCount: 3,
      acceptedCount: 1,
      tree: [
        { token: 9, parent: -1, logprob: 0, accepted: true },
        { token: 8, parent: 0, logprob: -1.5, accepted: false },
      ],
    }],
  },
  {
    kind: "finish",
    streamId: 7,
    reason: "stop",
    promptCount: 3,
    generatedCount: 2,
    cachedCount: 0,
    draftedCount: 9,
    acceptedCount: 4,
    stepCount: 2,
    stopToken: 0,
    queueMs: 0.25,
    contextMs: 12,
    generationMs: 100.5,
  },
  { kind: "failure", streamId: 0, code: "version", message: "no", replaySafe: true },
  {
    kind: "status",
    queueCount: 1,
    slotsBusy: 2,
    pagesFree: 3,
    blocksStored: BigUint64Array.of(0n, 0xffff_ffff_ffff_ffffn, 0x0102_0304_0506_0708n),
    blocksRemoved: new BigUint64Array(0),
    tokensPerStep: 2.5,
    tokensPerSecond: 120,
    contextTokensWaiting: 4,
    totals: {
      promptTokens: 2 ** 40,
      cachedTokens: 7,
      steps: 5,
      draftedTokens: 30,
      acceptedByDepth: [5, 3, 0],
    },
  },
  { kind: "drain", deadlineMs: 5000 },
  { kind: "tokenizerGet", digest: DIGEST },
  {
    kind: "tokenizerChunk",
    digest: DIGEST,
    index: 1,
    count: 2,
    json: Uint8Array.of(123, 125),
  },
];

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const f32 = (min: number, max: number) =>
  fc.float({ min: Math.fround(min), max: Math.fround(max), noNaN: true, noDefaultInfinity: true });
const token = fc.integer({ min: 0, max: 100_000 });

export const samplings: fc.Arbitrary<Sampling> = fc.record({
  temperature: f32(0, 2),
  topK: fc.integer({ min: 0, max: 100 }),
  topP: f32(0.125, 1),
  minP: f32(0, 1),
  repetitionPenalty: f32(0.5, 2),
  presencePenalty: f32(-2, 2),
  frequencyPenalty: f32(-2, 2),
  seedLow: u32,
  seedHigh: u32,
  logprobs: fc.integer({ min: 0, max: 21 }),
  logitBias: fc.array(fc.tuple(token, f32(-100, 100)), { maxLength: 20 }),
}).map((sampling) => ({ ...sampling }) as Sampling);

export const submits: fc.Arbitrary<SubmitFrame> = fc.record({
  streamId: fc.integer({ min: 1, max: 0xffff_ffff }),
  tokens: fc.array(token, { minLength: 1, maxLength: 200 }).map((ids) => Uint32Array.from(ids)),
  tokensMax: fc.integer({ min: 1, max: 4096 }),
  sampling: samplings,
  stopTokens: fc.array(token, { maxLength: 8 }),
  credit: fc.integer({ min: 0, max: 1000 }),
  salt: fc.string({ maxLength: 60, unit: "grapheme" }),
  ignorePrefix: fc.boolean(),
}).map((some) => submitFrame({ ...some, generatedCount: some.tokens.length - 1 }));
