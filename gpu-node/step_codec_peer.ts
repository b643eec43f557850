/** The engine's side of the step formats, for the fake and for tests: reads a plan as strictly as
 * the C++ side must, and writes a result. Pure. @module */

import type { Sampling } from "../proto/sampling.ts";
import { ABI } from "./abi.ts";
import { EngineError } from "./native_engine.ts";
import type { DraftTree, PlanRecord, StepPlan, StepResult } from "./step_plan.ts";

function badPlan(what: string): EngineError {
  return new EngineError(`Cannot run plan: ${what}`, "bad_plan");
}

/** Reads words in order and refuses to pass the end. */
class PlanReader {
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  word(): number {
    if (this.#at + 4 > this.#view.byteLength) throw badPlan("it is truncated");
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4, true);
  }

  float(): number {
    this.word();
    return this.#view.getFloat32(this.#at - 4, true);
  }

  words(count: number): Uint32Array {
    if (this.#at + count * 4 > this.#view.byteLength) throw badPlan("it is truncated");
    return Uint32Array.from({ length: count }, () => this.word());
  }
}

/** @param logprobsOf Of a slot that does not start afresh: the plan names it once.
 * @throws {EngineError} With status "bad_plan". */
export function decodePlan(bytes: Uint8Array, logprobsOf: (slot: number) => number): StepPlan {
  const reader = new PlanReader(bytes);
  const [magic, version, planBytes, stepId, count, ...zeros] = reader.words(ABI.planHeaderWords);
  if (magic !== ABI.planMagic) throw badPlan("the magic is wrong");
  if (version !== ABI.version) throw badPlan(`it is of version ${version}`);
  if (planBytes !== bytes.length) throw badPlan("plan_bytes is not its size");
  if (zeros.some((word) => word !== 0)) throw badPlan("a reserved word is set");
  const records: PlanRecord[] = [];
  for (let i = 0; i < count; i++) records.push(decodeRecord(reader, logprobsOf));
  if (reader.at !== bytes.length) throw badPlan("bytes follow the last record");
  return { stepId, records };
}

function decodeRecord(reader: PlanReader, logprobsOf: (slot: number) => number): PlanRecord {
  const start = reader.at;
  const words = reader.words(ABI.planRecordWords);
  const [recordBytes, slot, flags, computedCount, tokenCount, pageStart, pageCount] = words;
  const [beamWidth, beamLength, packedMax, verifyMax, pathMax, , maskWords] = words.subarray(7);
  const chanceMin = new Float32Array(words.buffer, words.byteOffset)[12];
  const isReset = (flags & ABI.planReset) !== 0;
  const isMasked = (flags & ABI.planMask) !== 0;
  if (flags >= 2 * ABI.planNext) throw badPlan("a flag is unknown");
  if (isMasked !== maskWords > 0) throw badPlan("mask_words contradicts the flags");
  if (!(chanceMin >= 0 && chanceMin <= 1)) throw badPlan("chance_min is no chance");
  const tokens = reader.words(isReset ? computedCount + tokenCount : tokenCount);
  const pages = Array.from(reader.words(pageCount));
  const reset = isReset ? decodeSampling(reader) : undefined;
  const mask = isMasked ? { mask: reader.words(maskWords) } : {};
  const draft = (flags & ABI.planDraft) !== 0 ? { draft: decodeDraft(reader) } : {};
  if (reader.at - start !== recordBytes) throw badPlan("record_bytes is not its size");
  return {
    slot,
    ...(reset === undefined ? {} : { reset }),
    sample: (flags & ABI.planSample) !== 0,
    wantTree: (flags & ABI.planTree) !== 0,
    computedCount,
    tokenCount,
    tokens,
    pageStart,
    pages,
    budget: {
      beamWidth,
      beamLength,
      packedMax,
      ...(pathMax > 0 ? { pathMax } : {}),
      ...(chanceMin > 0 ? { chanceMin } : {}),
    },
    verifyMax,
    logprobs: reset === undefined ? logprobsOf(slot) : reset.sampling.logprobs,
    ...mask,
    ...draft,
    ...((flags & ABI.planNext) !== 0 ? { wantNext: true } : {}),
  };
}

function decodeDraft(reader: PlanReader): DraftTree {
  const count = reader.word();
  if (count < 1 || count > ABI.treeTokensMax) throw badPlan(`its draft has ${count} tokens`);
  const packed = Array.from({ length: count }, () => reader.words(3));
  return {
    tokens: packed.map(([token]) => token),
    parents: packed.map(([, parent]) => parent | 0),
    masks: packed.map(([, , mask]) => mask),
  };
}

function decodeSampling(reader: PlanReader): { sampling: Sampling; promptCount: number } {
  const sampling: Sampling = {
    temperature: reader.float(),
    topK: reader.word(),
    topP: reader.float(),
    minP: reader.float(),
    repetitionPenalty: reader.float(),
    presencePenalty: reader.float(),
    frequencyPenalty: reader.float(),
    seedLow: reader.word(),
    seedHigh: reader.word(),
    logprobs: reader.word(),
    logitBias: [],
  };
  const promptCount = reader.word();
  const biasCount = reader.word();
  if (biasCount > ABI.biasMax || sampling.logprobs > ABI.logprobsMax + 1) {
    throw badPlan("too many biases or log-probabilities");
  }
  const logitBias = Array.from(
    { length: biasCount },
    () => [reader.word(), reader.float()] as const,
  );
  return { sampling: { ...sampling, logitBias }, promptCount };
}

/** Writes `result` at the start of `bytes`. */
export function encodeResult(result: StepResult, bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = ABI.resultHeaderWords * 4;
  const word = (value: number) => view.setUint32((at += 4) - 4, value, true);
  const float = (value: number) => view.setFloat32((at += 4) - 4, value, true);
  for (const record of result.records) {
    const start = at;
    at += 4;
    word(record.slot);
    word(record.computedCount);
    word(record.tokens.length);
    word(record.draftedCount);
    word(record.acceptedCount);
    word(record.pendingLogprobs.length);
    word(record.tree.length);
    word(record.draftLength);
    word(0);
    record.tokens.forEach(word);
    for (const { logprob, top } of record.logprobs) {
      float(logprob);
      for (const [token, topLogprob] of top) {
        word(token);
        float(topLogprob);
      }
    }
    record.pendingLogprobs.forEach(float);
    record.next?.tokens.forEach((token, i) => {
      word(token);
      word(record.next!.parents[i]);
    });
    for (const packed of record.tree) {
      word(packed.token);
      word(packed.parent);
      float(packed.logprob);
      word(packed.accepted ? 1 : 0);
    }
    view.setUint32(start, at - start, true);
  }
  const end = at;
  at = 0;
  const header = [ABI.resultMagic, ABI.version, end, result.stepId, result.records.length];
  const { step, target, logits, sample, draft, head } = result.micros;
  [...header, result.rowCount, step, target, logits, sample, draft, head].forEach(word);
}
