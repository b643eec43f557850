/** Times steps of an open engine by hand: so many sequences, each with a tree of so many tokens.
 * @module */
import { ABI } from "../gpu-node/abi.ts";
import type { DraftBudget } from "../gpu-node/engine.ts";
import type { NativeEngine } from "../gpu-node/native_engine.ts";
import { StepCodec } from "../gpu-node/step_codec.ts";
import { NO_BUDGET, type PlanRecord } from "../gpu-node/step_plan.ts";
import { GREEDY } from "../proto/sampling.ts";
import { median } from "./stats.ts";

export interface StepShape {
  sequences: number;
  contextTokens: number;
  budget: DraftBudget;
  /** Steps that count, after the first ones. */
  steps: number;
}

export interface StepTime {
  /** Median of the engine's own clock, its drafting included. */
  micros: number;
  /** The least of them: what disturbs a step only ever lengthens it. */
  leastMicros: number;
  /** Rows of a step, mean. */
  rows: number;
  /** Of the context's steps, which came before. */
  contextMicros: number;
}

const WARMUP_STEPS = 3;

/** Pages that one sequence of such a measurement takes. */
export function pagesNeeded({ contextTokens, steps }: StepShape): number {
  const longest = contextTokens + (WARMUP_STEPS + steps + 1) * ABI.beamLengthMax;
  return Math.ceil(longest / ABI.pageTokens);
}

/** Leaves slots and pages to whoever resets them.
 * @throws {EngineError} If the engine refuses or fails. */
export async function timeSteps(native: NativeEngine, shape: StepShape): Promise<StepTime> {
  const { info } = native;
  const { vocab_size: vocabSize, context_max: contextMax } = info.model;
  const codec = new StepCodec({ slotsMax: info.slots_max, contextMax, vocabSize });
  const computed = new Array<number>(shape.sequences).fill(0);
  let stepId = 0;
  const run = async (records: PlanRecord[]) => {
    const plan = { stepId: ++stepId, records };
    await native.step(codec.encode(plan), codec.result);
    const result = codec.decode(plan);
    for (const { slot, computedCount } of result.records) computed[slot] = computedCount;
    return result;
  };
  let contextMicros = 0;
  for (let slot = 0; slot < shape.sequences; slot++) {
    contextMicros += await fillContext(
      native,
      shape,
      slot,
      async (record) => (await run([record])).micros.step,
    );
  }
  const times: number[] = [];
  let rows = 0;
  for (let step = 0; step < WARMUP_STEPS + shape.steps; step++) {
    const { micros, rowCount } = await run(
      computed.map((count, slot) => record(slot, count, shape)),
    );
    if (step < WARMUP_STEPS) continue;
    times.push(micros.step);
    rows += rowCount;
  }
  const leastMicros = Math.min(...times);
  return { micros: median(times), leastMicros, rows: rows / shape.steps, contextMicros };
}

function record(slot: number, computedCount: number, shape: StepShape): PlanRecord {
  return {
    slot,
    sample: true,
    wantTree: false,
    computedCount,
    tokenCount: 0,
    tokens: new Uint32Array(0),
    pageStart: pagesNeeded(shape),
    pages: [],
    budget: shape.budget,
    verifyMax: 0,
    logprobs: 0,
  };
}

/** The context in chunks of as many rows as a step may have. */
async function fillContext(
  native: NativeEngine,
  shape: StepShape,
  slot: number,
  run: (record: PlanRecord) => Promise<number>,
): Promise<number> {
  const { rows_max: rowsMax, model } = native.info;
  const pageCount = pagesNeeded(shape);
  let micros = 0;
  for (let begin = 0; begin < shape.contextTokens; begin += rowsMax) {
    const count = Math.min(rowsMax, shape.contextTokens - begin);
    const tokens = Uint32Array.from(
      { length: count },
      (_, i) => (begin + i) * 7919 % model.vocab_size,
    );
    const last = begin + count === shape.contextTokens;
    micros += await run({
      ...record(slot, begin, shape),
      ...(begin === 0
        ? {
          reset: { sampling: GREEDY, promptCount: shape.contextTokens },
          pageStart: 0,
          pages: Array.from({ length: pageCount }, (_, i) => slot * pageCount + i),
        }
        : {}),
      sample: last,
      tokenCount: count,
      tokens,
      budget: last ? shape.budget : NO_BUDGET,
    });
  }
  return micros;
}
