/** Measures what a step of an engine costs by its rows, before anyone uses it.
 *
 * A slot that must repeat one token (a logit bias sees to it) drafts by lookup a chain of which
 * every token is accepted: so a step has just the rows that the plan asks for, and all of their
 * work: logits, walk and commit.
 * @module */

import { GREEDY, type Sampling } from "../proto/sampling.ts";
import { ABI } from "./abi.ts";
import type { NativeEngine } from "./native_engine.ts";
import { StepCodec } from "./step_codec.ts";
import { StepCost } from "./step_cost.ts";
import { NO_BUDGET, type PlanRecord } from "./step_plan.ts";

/** Rows of a step that are measured; between them `StepCost` draws lines. */
const ROW_COUNTS = [1, 2, 4, 8, 9, 12, 16];
const ROUNDS = 3;
/** These take longer, and are measured less often. */
const ROW_COUNTS_LARGE = [32, 64];
/** A machine that has taken so long is left to what its steps will tell: some have no vector
 * instructions. */
const MICROS_MAX = 3_000_000;
const SEQUENCE = [
  ...Array<number[]>(ROUNDS).fill(ROW_COUNTS).flat(),
  ...ROW_COUNTS_LARGE,
  ...ROW_COUNTS_LARGE,
];
const TOKEN = 0;
const CONTEXT = 2 * ABI.pageTokens;

const REPEATING: Sampling = { ...GREEDY, logitBias: [[TOKEN, 1e4]] };

/** Takes under half a second on two cores with the default model, and a few at most. What it leaves
 * in slots and pages is nobody's: whoever starts a slot resets it.
 * @throws {EngineError} If the engine fails. */
export async function measureStepCost(native: NativeEngine): Promise<StepCost> {
  const { slots_max, pages_max, model } = native.info;
  const codec = new StepCodec({
    slotsMax: slots_max,
    contextMax: model.context_max,
    vocabSize: model.vocab_size,
  });
  const slotsWanted = Math.ceil(Math.max(...SEQUENCE) / ABI.beamLengthMax);
  const chain = new RepeatingChain(native, codec, Math.min(slotsWanted, slots_max), pages_max);
  const measured = new Map<number, number>();
  for (const rows of SEQUENCE) {
    if (chain.spentMicros > MICROS_MAX) break;
    const step = await chain.step(rows);
    if (step === undefined) continue;
    // What disturbs a step only ever lengthens it.
    const least = Math.min(step.micros, measured.get(step.rowCount) ?? Infinity);
    measured.set(step.rowCount, least);
  }
  return new StepCost(measured);
}

class RepeatingChain {
  /** Of all steps, those of context too. */
  spentMicros = 0;
  #stepId = 0;
  #computed: number[] = [];
  readonly #pagesEach: number;

  constructor(
    readonly native: NativeEngine,
    readonly codec: StepCodec,
    readonly slotCount: number,
    pagesMax: number,
  ) {
    const longest = Math.min(
      CONTEXT + 1 + SEQUENCE.reduce((sum, rows) => sum + Math.min(rows, ABI.beamLengthMax), 0),
      native.info.model.context_max,
    );
    this.#pagesEach = Math.min(
      Math.floor(pagesMax / slotCount),
      Math.ceil(longest / ABI.pageTokens),
    );
  }

  /** Context of the next slot, which then holds a chain. */
  async #begin(slot: number): Promise<void> {
    await this.#run([{
      ...this.#record(slot, 0, 0),
      reset: { sampling: REPEATING, promptCount: CONTEXT },
      tokenCount: CONTEXT,
      tokens: new Uint32Array(CONTEXT).fill(TOKEN),
      pages: Array.from({ length: this.#pagesEach }, (_, i) => slot * this.#pagesEach + i),
    }]);
  }

  /** A step of `rows` rows, or of fewer where the engine does not look up; `undefined` where slots,
   * pages or rows do not reach. */
  async step(rows: number): Promise<{ rowCount: number; micros: number } | undefined> {
    const slots = Math.ceil(rows / ABI.beamLengthMax);
    if (slots > this.slotCount || rows > this.native.info.rows_max) return undefined;
    if (this.#pagesEach * ABI.pageTokens < CONTEXT + 1) return undefined;
    while (this.#computed.length < slots) await this.#begin(this.#computed.length);
    const records: PlanRecord[] = [];
    for (let slot = 0; slot < slots; slot++) {
      const share = Math.ceil((rows - slot) / slots);
      const computed = this.#computed[slot];
      // The whole pending chain must fit, though a part of it is verified.
      const reach = computed + ABI.beamLengthMax;
      if (reach > this.#pagesEach * ABI.pageTokens || reach > this.native.info.model.context_max) {
        return undefined;
      }
      records.push(this.#record(slot, computed, share));
    }
    return await this.#run(records);
  }

  #record(slot: number, computedCount: number, verifyMax: number): PlanRecord {
    return {
      slot,
      sample: true,
      wantTree: false,
      computedCount,
      tokenCount: 0,
      tokens: new Uint32Array(0),
      pageStart: computedCount === 0 ? 0 : this.#pagesEach,
      pages: [],
      budget: { ...NO_BUDGET, packedMax: ABI.beamLengthMax, pathMax: ABI.beamLengthMax },
      verifyMax,
      logprobs: 0,
    };
  }

  async #run(records: PlanRecord[]): Promise<{ rowCount: number; micros: number }> {
    const plan = { stepId: ++this.#stepId, records };
    await this.native.step(this.codec.encode(plan), this.codec.result);
    const result = this.codec.decode(plan);
    for (const record of result.records) this.#computed[record.slot] = record.computedCount;
    this.spentMicros += result.micros.step;
    const micros = Math.max(1, result.micros.step - result.micros.draft);
    return { rowCount: result.rowCount, micros };
  }
}
