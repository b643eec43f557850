import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeFrame,
  decodeFrames,
  encodeFrame,
  type Frame,
  FrameError,
  joinFrames,
  type NodeTotals,
} from "../../proto/frame.ts";
import { LIMITS } from "../../proto/limits.ts";
import { GREEDY } from "../../proto/sampling.ts";
import { SAMPLES, submitFrame, submits } from "./frames.ts";

function frameError(action: () => unknown): FrameError {
  try {
    action();
  } catch (error) {
    assert(error instanceof FrameError, `${error}`);
    return error;
  }
  assert.fail("no FrameError");
}

Deno.test("decodeFrame() gives back what encodeFrame() was given", async (t) => {
  for (const frame of SAMPLES) {
    await t.step(frame.kind, () => assert.deepEqual(decodeFrame(encodeFrame(frame)), frame));
  }
  await t.step("any submit", () => {
    fc.assert(fc.property(submits, (frame) => {
      assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
    }));
  });
});

Deno.test("decodeFrames() gives back what joinFrames() was given, in order", () => {
  const some = fc.array(fc.nat(SAMPLES.length - 1), { minLength: 1, maxLength: 12 });
  fc.assert(fc.property(some, (indexes) => {
    const frames = indexes.map((i) => SAMPLES[i]!);
    assert.deepEqual(decodeFrames(joinFrames(frames.map(encodeFrame))), frames);
  }));
});

Deno.test("decodeFrames() refuses a message of which any frame is none", () => {
  const good = encodeFrame({ kind: "cancel", streamId: 1 });
  const join = (...bytes: number[]) => joinFrames([good, Uint8Array.from(bytes), good]);
  assert.equal(frameError(() => decodeFrames(new Uint8Array(0))).code, "malformed");
  assert.equal(frameError(() => decodeFrames(join(0x22, 99, 8))).code, "malformed");
  // credit { stream_id: 7 }
  const error = frameError(() => decodeFrames(join(0x2a, 2, 8, 7)));
  assert.equal(error.field, "credit.tokens");
  assert.equal(error.streamId, 7);
});

Deno.test("decodeFrame() applies the defaults of absent fields", () => {
  // submit { stream_id: 1, tokens: [5], tokens_max: 1 }
  const bytes = Uint8Array.of(0x1a, 7, 0x08, 1, 0x12, 1, 5, 0x20, 1);
  const frame = decodeFrame(bytes);
  assert(frame.kind === "submit");
  assert.deepEqual(frame.sampling, GREEDY);
  assert.equal(frame.speculation.mode, "default");
});

Deno.test("decodeFrame() ignores fields it does not know", () => {
  // cancel { stream_id: 1, 15: 1 }, and field 31 of Frame beside it.
  const bytes = Uint8Array.of(0x22, 4, 0x08, 1, 0x78, 1, 0xf8, 0x01, 1);
  assert.deepEqual(decodeFrame(bytes), { kind: "cancel", streamId: 1 });
});

Deno.test("decodeFrame() refuses what is no frame", async (t) => {
  const cases: [string, Uint8Array, string, RegExp][] = [
    ["empty", new Uint8Array(0), "malformed", /it is empty/],
    ["unknown kind", Uint8Array.of(0x6a, 0), "unknown_kind", /kind number 13 is unknown/],
    ["a kind as a number", Uint8Array.of(0x20, 1), "unknown_kind", /kind number 4/],
    ["two kinds", Uint8Array.of(0x22, 2, 8, 1, 0x52, 0), "malformed", /both cancel and drain/],
    ["truncated", Uint8Array.of(0x22, 9, 8), "malformed", /Cannot decode/],
    ["broken UTF-8", Uint8Array.of(0x0a, 4, 0x12, 2, 0xc3, 0x28), "malformed", /Cannot decode/],
    ["too large", new Uint8Array(LIMITS.frameBytesMax + 1), "too_large", /at most 4194304/],
    ["half a hash", Uint8Array.of(0x4a, 3, 0x22, 1, 0), "bad_field", /status\.blocks_stored/],
    ["unknown mode", Uint8Array.of(0x1a, 6, 8, 9, 0x3a, 2, 8, 7), "bad_field", /mode is 7/],
  ];
  for (const [name, bytes, code, message] of cases) {
    await t.step(name, () => {
      const error = frameError(() => decodeFrame(bytes));
      assert.equal(error.code, code);
      assert.match(error.message, message);
    });
  }
});

Deno.test("decodeFrame() throws FrameError alone, whatever the bytes", () => {
  const valid = SAMPLES.map(encodeFrame);
  const mutated = fc.tuple(fc.nat(valid.length - 1), fc.nat(), fc.nat(255), fc.boolean());
  fc.assert(
    fc.property(mutated, ([which, at, value, cut]) => {
      const bytes = valid[which].slice();
      bytes[at % bytes.length] = value;
      try {
        decodeFrame(cut ? bytes.subarray(0, at % bytes.length) : bytes);
        decodeFrames(joinFrames([bytes, bytes]));
      } catch (error) {
        assert(error instanceof FrameError, `${error}`);
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("checks name the field and the stream, in both directions", async (t) => {
  const sampling = (changes: Partial<typeof GREEDY>) =>
    submitFrame({ sampling: { ...GREEDY, ...changes } });
  const totals = (changes: Partial<NodeTotals>): Frame => {
    const status = SAMPLES.find((frame) => frame.kind === "status")!;
    return { ...status, totals: { ...status.totals, ...changes } };
  };
  const cases: [string, Frame][] = [
    ["submit.stream_id", submitFrame({ streamId: 0 })],
    ["submit.tokens", submitFrame({ tokens: new Uint32Array(0) })],
    ["submit.tokens[1]", submitFrame({ tokens: Uint32Array.of(1, LIMITS.vocabSizeMax) })],
    ["submit.generated_count", submitFrame({ generatedCount: 3 })],
    ["submit.tokens_max", submitFrame({ tokensMax: 0 })],
    ["submit.sampling.temperature", sampling({ temperature: NaN })],
    ["submit.sampling.temperature", sampling({ temperature: -0.5 })],
    ["submit.sampling.top_p", sampling({ topP: Infinity })],
    ["submit.sampling.logprobs", sampling({ logprobs: 22 })],
    ["submit.sampling.logit_bias[0].bias", sampling({ logitBias: [[3, NaN]] })],
    ["submit.sampling.logit_bias", sampling({ logitBias: Array(1025).fill([0, 0]) })],
    ["submit.salt", submitFrame({ salt: "ö".repeat(129) })],
    ["submit.credit", submitFrame({ credit: LIMITS.creditMax + 1 })],
    ["submit.deadline_ms", submitFrame({ deadlineMs: 1.5 })],
    ["submit.stop_tokens", submitFrame({ stopTokens: Array(65).fill(1) })],
    ["credit.tokens", { kind: "credit", streamId: 7, tokens: 0 }],
    ["status.totals.steps", totals({ steps: NaN })],
    ["status.totals.cached_tokens", totals({ cachedTokens: -1 })],
    ["status.totals.accepted_by_depth", totals({ acceptedByDepth: Array(16).fill(0) })],
    ["status.totals.accepted_by_depth[1]", totals({ acceptedByDepth: [1, 0.5] })],
  ];
  for (const [field, frame] of cases) {
    await t.step(field, () => {
      const error = frameError(() => encodeFrame(frame));
      assert.equal(error.field, field);
      assert.equal(error.code, "bad_field");
      assert.equal(error.streamId, "streamId" in frame ? frame.streamId : 0);
    });
  }
  await t.step("a bad field that arrives", () => {
    // submit { stream_id: 9, tokens: [5], tokens_max: 1, sampling { temperature: NaN } }
    const nan = [0x2a, 5, 0x0d, 0, 0, 0xc0, 0x7f];
    const bytes = Uint8Array.of(0x1a, 14, 0x08, 9, 0x12, 1, 5, 0x20, 1, ...nan);
    const error = frameError(() => decodeFrame(bytes));
    assert.equal(error.field, "submit.sampling.temperature");
    assert.equal(error.streamId, 9);
  });
});

Deno.test("encodeFrame() fits the longest legal prompt", () => {
  const tokens = new Uint32Array(LIMITS.contextMax).fill(LIMITS.vocabSizeMax - 1);
  const logitBias = Array.from({ length: LIMITS.logitBiasMax }, () => [2_000_000, -1] as const);
  const frame = submitFrame({ tokens, sampling: { ...GREEDY, logitBias } });
  assert.deepEqual(decodeFrame(encodeFrame(frame)), frame);
});
