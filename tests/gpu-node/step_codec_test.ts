import assert from "node:assert/strict";
import fc from "fast-check";
import { ABI } from "../../gpu-node/abi.ts";
import { MASKS_MAX, planBytesMax, resultBytesMax, StepCodec } from "../../gpu-node/step_codec.ts";
import { decodePlan, encodeResult } from "../../gpu-node/step_codec_peer.ts";
import {
  type DraftTree,
  NO_BUDGET,
  type PlanRecord,
  type StepPlan,
} from "../../gpu-node/step_plan.ts";
import { samplings } from "../proto/frames.ts";
import { GREEDY } from "../../proto/sampling.ts";

const BOUNDS = { slotsMax: 4, contextMax: 64, vocabSize: 200_000 };

function contextRecord(changes: Partial<PlanRecord> = {}): PlanRecord {
  return {
    slot: 0,
    reset: { sampling: GREEDY, promptCount: 3 },
    sample: true,
    wantTree: false,
    computedCount: 0,
    tokenCount: 3,
    tokens: Uint32Array.of(5, 6, 7),
    pageStart: 0,
    pages: [9],
    budget: { beamWidth: 2, beamLength: 3, packedMax: 4 },
    verifyMax: 0,
    logprobs: 0,
    ...changes,
  };
}

/** A tree that is one path. */
function chainOf(count: number): DraftTree {
  const tokens = Array.from({ length: count }, (_, i) => 100 + i);
  return { tokens, parents: tokens.map((_, i) => i - 1), masks: tokens.map((_, i) => i % 2) };
}

const planOf = (...records: PlanRecord[]): StepPlan => ({ stepId: 77, records });

/** A plausible result for `plan`. */
function resultOf(plan: StepPlan) {
  return {
    stepId: plan.stepId,
    rowCount: 3,
    micros: { step: 10, target: 4, logits: 3, sample: 1, draft: 2, head: 1 },
    records: plan.records.map((record) => ({
      slot: record.slot,
      computedCount: record.computedCount + record.tokenCount,
      tokens: record.sample ? [42] : [],
      logprobs: [],
      draftedCount: 0,
      acceptedCount: 0,
      pendingLogprobs: Float32Array.from(record.sample ? [0, -0.5, -1, -1.5] : []),
      draftLength: record.sample ? 2 : 0,
      tree: [],
    })),
  };
}

Deno.test("encode() lays a plan out as redraft.h says", () => {
  const codec = new StepCodec(BOUNDS);
  const bytes = codec.encode(planOf(contextRecord()));
  const words = new Uint32Array(bytes.slice().buffer);
  const header = [ABI.planMagic, ABI.version, bytes.length, 77, 1, 0, 0, 0];
  assert.deepEqual([...words.subarray(0, 8)], header);
  const flags = ABI.planReset | ABI.planSample;
  const record = [30 * 4, 0, flags, 0, 3, 0, 1, 2, 3, 4, 0, 0, 0, 0, 5, 6, 7, 9];
  assert.deepEqual([...words.subarray(8, 26)], record);
  const floats = new Float32Array(words.buffer);
  assert.equal(floats[26 + 2], 1, "top_p");
  assert.equal(words[26 + 10], 3, "prompt_count");
});

Deno.test("what encode() writes, the engine's side reads", () => {
  const codec = new StepCodec(BOUNDS);
  fc.assert(fc.property(samplings, fc.nat(20), fc.boolean(), (sampling, cached, wantTree) => {
    const record = contextRecord({
      reset: { sampling, promptCount: 2 },
      computedCount: cached,
      tokens: Uint32Array.from({ length: cached + 3 }, (_, i) => i),
      logprobs: sampling.logprobs,
      pages: [3, 4],
      wantTree,
    });
    const plan = planOf(
      record,
      contextRecord({
        slot: 3,
        reset: undefined,
        pages: [],
        budget: { beamWidth: 0, beamLength: 0, packedMax: 9, pathMax: 16, chanceMin: 0.25 },
      }),
    );
    const decoded = decodePlan(codec.encode(plan), () => 0);
    const { reset: _, ...second } = plan.records[1];
    assert.deepEqual(decoded, { ...plan, records: [record, second] });
  }));
});

Deno.test("a tree goes with its masks, and the next one comes back", () => {
  const codec = new StepCodec(BOUNDS);
  const words = Math.ceil(BOUNDS.vocabSize / 32);
  const record = contextRecord({
    reset: undefined,
    computedCount: 20,
    tokenCount: 0,
    tokens: new Uint32Array(0),
    mask: Uint32Array.from({ length: 2 * words }, (_, i) => i),
    draft: chainOf(3),
    wantNext: true,
  });
  const { reset: _, ...planned } = record;
  const plan = planOf(record);
  assert.deepEqual(decodePlan(codec.encode(plan), () => 0).records, [planned]);
  const result = resultOf(plan);
  const next = { tokens: Uint32Array.of(42, 1, 2, 3), parents: Int32Array.of(-1, 0, 0, 1) };
  Object.assign(result.records[0], { computedCount: 21, next });
  encodeResult(result, codec.result);
  assert.deepEqual(codec.decode(plan), result);
  next.parents[1] = 1;
  encodeResult(result, codec.result);
  assert.throws(() => codec.decode(plan), assert.AssertionError);
  const broken = { ...record, draft: { ...chainOf(3), parents: [-1, 0, 2] } };
  assert.throws(() => codec.encode(planOf(broken)), assert.AssertionError);
});

Deno.test("encode() asserts what the plan must hold", async (t) => {
  const codec = new StepCodec(BOUNDS);
  const cases: [string, Partial<PlanRecord>][] = [
    ["a slot that does not exist", { slot: 4 }],
    ["fewer tokens than announced", { tokenCount: 4 }],
    ["past the context", { computedCount: 62, tokens: new Uint32Array(65) }],
    ["RESET without context", { tokenCount: 0, tokens: new Uint32Array(0) }],
  ];
  for (const [name, changes] of cases) {
    await t.step(name, () => {
      assert.throws(() => codec.encode(planOf(contextRecord(changes))), assert.AssertionError);
    });
  }
  await t.step("no record at all", () => assert.throws(() => codec.encode(planOf())));
});

Deno.test("decode() reads a result with log-probabilities and a tree", () => {
  const codec = new StepCodec(BOUNDS);
  const plan = planOf(contextRecord({
    reset: undefined,
    computedCount: 20,
    tokenCount: 0,
    tokens: new Uint32Array(0),
    wantTree: true,
    logprobs: 3,
  }));
  codec.encode(plan);
  const top = [[4, -0.5], [6, -1.5]] as const;
  const result = resultOf(plan);
  Object.assign(result.records[0], {
    computedCount: 22,
    tokens: [4, 199_999],
    logprobs: [{ logprob: -0.5, top }, { logprob: -2, top }],
    draftedCount: 2,
    acceptedCount: 1,
    tree: [
      { token: 1, parent: -1, logprob: 0, accepted: true },
      { token: 4, parent: 0, logprob: -0.25, accepted: true },
    ],
  });
  encodeResult(result, codec.result);
  assert.deepEqual(codec.decode(plan), result);
});

Deno.test("decode() refuses a result that is not the plan's", async (t) => {
  const codec = new StepCodec(BOUNDS);
  const plan = planOf(contextRecord());
  const cases: [string, (result: ReturnType<typeof resultOf>) => void][] = [
    ["another step", (result) => result.stepId++],
    ["another slot", ({ records }) => records[0].slot = 1],
    ["a record too few", ({ records }) => records.pop()],
    ["a row too many", ({ records }) => records[0].computedCount++],
    ["no token", ({ records }) => records[0].tokens = []],
    ["a token too many", ({ records }) => records[0].tokens.push(1)],
    ["no token id", ({ records }) => records[0].tokens = [200_000]],
    ["more accepted than drafted", ({ records }) => records[0].acceptedCount = 1],
    ["no root", ({ records }) => records[0].pendingLogprobs = new Float32Array(0)],
    [
      "a tree nobody asked for",
      ({ records }) =>
        records[0].tree = [{ token: 1, parent: -1, logprob: 0, accepted: true }] as never,
    ],
  ];
  for (const [name, spoil] of cases) {
    await t.step(name, () => {
      codec.encode(plan);
      const result = resultOf(plan);
      spoil(result);
      encodeResult(result, codec.result);
      assert.throws(() => codec.decode(plan), assert.AssertionError);
    });
  }
  await t.step("the result of the step before", () => {
    codec.encode(plan);
    encodeResult(resultOf(plan), codec.result);
    codec.encode(plan);
    assert.throws(() => codec.decode(plan), assert.AssertionError);
  });
});

Deno.test("the buffers hold the largest plan and result, and never resize", () => {
  const codec = new StepCodec(BOUNDS);
  const logitBias = Array.from({ length: ABI.biasMax }, (_, i) => [i, 1] as const);
  const sampling = { ...GREEDY, logitBias, logprobs: ABI.logprobsMax + 1 };
  const records = Array.from({ length: BOUNDS.slotsMax }, (_, slot) =>
    contextRecord({
      slot,
      reset: { sampling, promptCount: 1 },
      tokenCount: BOUNDS.contextMax,
      tokens: new Uint32Array(BOUNDS.contextMax),
      pages: [0, 1, 2, 3],
      budget: NO_BUDGET,
      mask: new Uint32Array(MASKS_MAX * Math.ceil(BOUNDS.vocabSize / 32)).fill(1),
      draft: chainOf(ABI.treeTokensMax),
    }));
  assert.equal(codec.encode(planOf(...records)).length, planBytesMax(BOUNDS));
  assert.equal(codec.result.length, resultBytesMax(BOUNDS));
  assert.equal(codec.result.buffer.resizable, false);
});
