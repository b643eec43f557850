/** Plans and results as redraft.h lays them out, over buffers allocated once: a nonblocking call
 * may read and write them from another thread, so they are never resized and never move. Pure.
 *
 * Whatever the engine answers is checked against the plan: what TypeScript wrote and what C++ read
 * must be the same step.
 * @module */

import { assert, assertEqual } from "../proto/assert.ts";
import type { Sampling } from "../proto/sampling.ts";
import { ABI } from "./abi.ts";
import type { PackedToken, TokenLogprobs } from "./engine.ts";
import type { DraftTree, PlanRecord, ResultRecord, StepPlan, StepResult } from "./step_plan.ts";

export interface StepBounds {
  slotsMax: number;
  contextMax: number;
  vocabSize: number;
}

/** Masks of one record: packed tokens mostly share a few. */
export const MASKS_MAX = 16;

/** Bytes of the largest plan: every slot starts afresh with a full context. */
export function planBytesMax({ slotsMax, contextMax, vocabSize }: StepBounds): number {
  const pages = Math.ceil(contextMax / ABI.pageTokens);
  const record = ABI.planRecordWords + contextMax + pages + ABI.samplingWords + 2 * ABI.biasMax +
    MASKS_MAX * Math.ceil(vocabSize / 32) + 1 + 3 * ABI.treeTokensMax;
  return 4 * (ABI.planHeaderWords + slotsMax * record);
}

/** Bytes of the largest result: every slot gains all it can and reports all there is. */
export function resultBytesMax({ slotsMax }: StepBounds): number {
  const token = 1 + 1 + 2 * ABI.logprobsMax;
  const record = ABI.resultRecordWords + ABI.beamLengthMax * token + 7 * ABI.treeTokensMax;
  return 4 * (ABI.resultHeaderWords + slotsMax * record);
}

export class StepCodec {
  readonly #bounds: StepBounds;
  readonly #planWords: Uint32Array<ArrayBuffer>;
  readonly #planFloats: Float32Array<ArrayBuffer>;
  readonly #resultWords: Uint32Array<ArrayBuffer>;
  readonly #resultFloats: Float32Array<ArrayBuffer>;
  /** Where the engine writes; pinned here while a call is under way. */
  readonly result: Uint8Array<ArrayBuffer>;
  readonly #plan: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(bounds: StepBounds) {
    this.#bounds = bounds;
    const plan = new ArrayBuffer(planBytesMax(bounds));
    const result = new ArrayBuffer(resultBytesMax(bounds));
    this.#plan = new Uint8Array(plan);
    this.#planWords = new Uint32Array(plan);
    this.#planFloats = new Float32Array(plan);
    this.result = new Uint8Array(result);
    this.#resultWords = new Uint32Array(result);
    this.#resultFloats = new Float32Array(result);
  }

  /** The plan's bytes, valid until the next `encode`. */
  encode(plan: StepPlan): Uint8Array<ArrayBuffer> {
    assert(plan.records.length > 0 && plan.records.length <= this.#bounds.slotsMax);
    this.#at = ABI.planHeaderWords;
    for (const record of plan.records) this.#encodeRecord(record);
    const bytes = this.#at * 4;
    assert(bytes <= this.#plan.length, "the plan buffer holds the largest plan");
    const header = [ABI.planMagic, ABI.version, bytes, plan.stepId, plan.records.length, 0, 0, 0];
    this.#planWords.set(header);
    // What the last step wrote can then never pass for this one's answer.
    this.#resultWords.fill(0, 0, ABI.resultHeaderWords);
    return this.#plan.subarray(0, bytes);
  }

  /** @throws {AssertionError} If the result is not one of `plan`. */
  decode(plan: StepPlan): StepResult {
    const words = this.#resultWords;
    const [magic, version, bytes, stepId, count, rowCount] = words;
    const [step, target, logits, sample, draft, head] = words.subarray(6);
    assertEqual(magic, ABI.resultMagic, "the engine wrote a result");
    assertEqual(version, ABI.version, "the result is of this ABI version");
    assertEqual(stepId, plan.stepId >>> 0, "the result is of this step");
    assertEqual(count, plan.records.length, "a result record for each plan record");
    assert(bytes % 4 === 0 && bytes <= this.result.length, "the result fits its buffer");
    this.#at = ABI.resultHeaderWords;
    const records = plan.records.map((record) => this.#decodeRecord(record, bytes / 4));
    assertEqual(this.#at * 4, bytes, "the records fill the result");
    const micros = { step, target, logits, sample, draft, head };
    return { stepId, rowCount, micros, records };
  }

  #encodeRecord(record: PlanRecord): void {
    const { reset, budget, tokens, pages } = record;
    const { slotsMax, contextMax } = this.#bounds;
    const tokensSent = reset === undefined
      ? record.tokenCount
      : record.computedCount + record.tokenCount;
    assert(record.slot >= 0 && record.slot < slotsMax, "a slot of the engine");
    assertEqual(tokens.length, tokensSent, "the tokens that the header announces");
    assert(record.computedCount + record.tokenCount <= contextMax, "within the context");
    assert(record.tokenCount > 0 || reset === undefined, "a fresh slot has context to compute");
    const start = this.#at;
    const words = this.#planWords;
    const flags = (reset === undefined ? 0 : ABI.planReset) |
      (record.sample ? ABI.planSample : 0) | (record.wantTree ? ABI.planTree : 0) |
      (record.mask === undefined ? 0 : ABI.planMask) |
      (record.draft === undefined ? 0 : ABI.planDraft) | (record.wantNext ? ABI.planNext : 0);
    words[start + 1] = record.slot;
    words[start + 2] = flags;
    words[start + 3] = record.computedCount;
    words[start + 4] = record.tokenCount;
    words[start + 5] = record.pageStart;
    words[start + 6] = pages.length;
    words[start + 7] = budget.beamWidth;
    words[start + 8] = budget.beamLength;
    words[start + 9] = budget.packedMax;
    words[start + 10] = record.verifyMax;
    words[start + 11] = budget.pathMax ?? 0;
    this.#planFloats[start + 12] = budget.chanceMin ?? 0;
    words[start + 13] = record.mask?.length ?? 0;
    this.#at = start + ABI.planRecordWords;
    words.set(tokens, this.#at);
    this.#at += tokens.length;
    words.set(pages, this.#at);
    this.#at += pages.length;
    if (reset !== undefined) this.#encodeSampling(reset.sampling, reset.promptCount);
    if (record.mask !== undefined) {
      words.set(record.mask, this.#at);
      this.#at += record.mask.length;
    }
    if (record.draft !== undefined) this.#encodeDraft(record.draft);
    words[start] = (this.#at - start) * 4;
  }

  #encodeDraft({ tokens, parents, masks }: DraftTree): void {
    assert(tokens.length >= 1 && tokens.length <= ABI.treeTokensMax, "a tree that fits a mask row");
    this.#planWords[this.#at++] = tokens.length;
    tokens.forEach((token, i) => {
      assert(i === 0 ? parents[i] === -1 : parents[i] >= 0 && parents[i] < i, "parents come first");
      this.#planWords.set([token, parents[i], masks[i]], this.#at);
      this.#at += 3;
    });
  }

  #encodeSampling(sampling: Sampling, promptCount: number): void {
    const at = this.#at;
    const words = this.#planWords;
    const floats = this.#planFloats;
    assert(sampling.logitBias.length <= ABI.biasMax && sampling.logprobs <= ABI.logprobsMax + 1);
    floats[at] = sampling.temperature;
    words[at + 1] = sampling.topK;
    floats[at + 2] = sampling.topP;
    floats[at + 3] = sampling.minP;
    floats[at + 4] = sampling.repetitionPenalty;
    floats[at + 5] = sampling.presencePenalty;
    floats[at + 6] = sampling.frequencyPenalty;
    words[at + 7] = sampling.seedLow;
    words[at + 8] = sampling.seedHigh;
    words[at + 9] = sampling.logprobs;
    words[at + 10] = promptCount;
    words[at + 11] = sampling.logitBias.length;
    this.#at += ABI.samplingWords;
    for (const [token, bias] of sampling.logitBias) {
      words[this.#at++] = token;
      floats[this.#at++] = bias;
    }
  }

  #decodeRecord(planned: PlanRecord, wordsEnd: number): ResultRecord {
    const start = this.#at;
    assert(start + ABI.resultRecordWords <= wordsEnd, "a record lies in the result");
    const fields = this.#resultWords.subarray(start, start + ABI.resultRecordWords);
    const [
      bytes,
      slot,
      computedCount,
      tokenCount,
      draftedCount,
      acceptedCount,
      pending,
      treeCount,
      draftLength,
    ] = fields;
    const end = start + bytes / 4;
    assert(Number.isInteger(end) && end <= wordsEnd, "a record ends in the result");
    assertEqual(slot, planned.slot, "the slots of plan and result are equal");
    assertEqual(tokenCount, planned.sample ? acceptedCount + 1 : 0, "accepted and bonus tokens");
    assert(acceptedCount <= draftedCount && draftedCount < ABI.treeTokensMax);
    assert(acceptedCount < ABI.beamLengthMax && pending <= ABI.treeTokensMax);
    assert(planned.sample === pending > 0, "a root pends once a token is drawn");
    assert(draftLength < ABI.beamLengthMax && draftLength < Math.max(1, pending));
    assertEqual(
      computedCount,
      planned.computedCount + (planned.tokenCount > 0 ? planned.tokenCount : acceptedCount + 1),
      "each accepted token has a KV row, the bonus token has none",
    );
    assert(planned.wantTree ? treeCount <= ABI.treeTokensMax : treeCount === 0);
    const topCount = planned.logprobs > 0 ? planned.logprobs - 1 : 0;
    const logprobWords = planned.logprobs > 0 ? tokenCount * (1 + 2 * topCount) : 0;
    const pendingWords = planned.wantNext ? 3 * pending : pending;
    const size = ABI.resultRecordWords + tokenCount + logprobWords + pendingWords + 4 * treeCount;
    assertEqual(size, end - start, "a record holds what its counts say");
    this.#at = start + ABI.resultRecordWords;
    const tokens = Array.from(this.#resultWords.subarray(this.#at, this.#at + tokenCount));
    for (const token of tokens) assert(token < this.#bounds.vocabSize, "a token id");
    this.#at += tokenCount;
    const logprobs = planned.logprobs > 0 ? tokens.map(() => this.#decodeLogprobs(topCount)) : [];
    const pendingLogprobs = this.#resultFloats.slice(this.#at, this.#at += pending);
    const next = planned.wantNext ? { next: this.#decodeNext(pending) } : {};
    const tree = Array.from({ length: treeCount }, () => this.#decodePacked());
    return {
      slot,
      computedCount,
      tokens,
      logprobs,
      draftedCount,
      acceptedCount,
      pendingLogprobs,
      draftLength,
      ...next,
      tree,
    };
  }

  #decodeNext(count: number): { tokens: Uint32Array; parents: Int32Array } {
    const words = this.#resultWords.subarray(this.#at, this.#at += 2 * count);
    const tokens = Uint32Array.from({ length: count }, (_, i) => words[2 * i]);
    const parents = Int32Array.from({ length: count }, (_, i) => words[2 * i + 1]);
    for (const [i, parent] of parents.entries()) {
      assert(i === 0 ? parent === -1 : parent >= 0 && parent < i, "parents come first");
    }
    return { tokens, parents };
  }

  #decodeLogprobs(topCount: number): TokenLogprobs {
    const logprob = this.#resultFloats[this.#at++];
    assert(logprob <= 0, "a log-probability");
    const top: [number, number][] = [];
    for (let i = 0; i < topCount; i++) {
      top.push([this.#resultWords[this.#at++], this.#resultFloats[this.#at++]]);
    }
    return { logprob, top };
  }

  #decodePacked(): PackedToken {
    const [token, parent, , accepted] = this.#resultWords.subarray(this.#at, this.#at + 4);
    const logprob = this.#resultFloats[this.#at + 2];
    this.#at += 4;
    return { token, parent: parent | 0, logprob, accepted: accepted !== 0 };
  }
}
