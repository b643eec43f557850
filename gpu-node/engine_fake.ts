/** A native engine without a model, for tests and simulation. It holds what a real one holds
 * (slots, page tables, KV rows, pending trees) and refuses every plan that redraft.h forbids; a KV
 * row is the hash of the prefix it stands for, so a page of another prefix is found at once.
 * @module */

import type { Sampling } from "../proto/sampling.ts";
import { ABI, type EngineStatusName } from "./abi.ts";
import { FakeModel, mix, type PendingToken, PREFIX_START } from "./fake_model.ts";
import { EngineError, type NativeEngine, type NativeModelInfo } from "./native_engine.ts";
import { decodePlan, encodeResult } from "./step_codec_peer.ts";
import { NO_MICROS, type PlanRecord, type ResultRecord } from "./step_plan.ts";

export interface FakeOptions {
  slotsMax?: number;
  pagesMax?: number;
  rowsMax?: number;
  contextMax?: number;
  vocabSize?: number;
  /** The chance that a drafted token is right. */
  accuracy?: number;
  /** What a step takes; it always yields to the event loop, as a nonblocking call does. */
  stepMs?: number;
}

interface FakeSlot {
  sampling: Sampling;
  tokens: number[];
  pages: number[];
  computedCount: number;
  pending: PendingToken[];
}

const DIGEST = "fa4e".repeat(16);
const TOP_LOGPROB = -0.5;
/** Of a drafted path, per token. */
const PATH_LOGPROB = -0.25;

export class FakeEngine implements NativeEngine {
  readonly info: NativeModelInfo;
  readonly tokenizerJson: Uint8Array = new TextEncoder().encode('{"model":"fake"}');
  readonly #model: FakeModel;
  readonly #slots = new Map<number, FakeSlot>();
  readonly #rows: Uint32Array;
  readonly #stepMs: number;
  #closed = false;
  /** Makes the next step fail with this status, once. */
  failNext: EngineStatusName | undefined;

  constructor(options: FakeOptions = {}) {
    const { slotsMax = 8, pagesMax = 256, rowsMax = 256, contextMax = 1024 } = options;
    const { vocabSize = 997, accuracy = 0.7, stepMs = 0 } = options;
    this.#model = new FakeModel(vocabSize, accuracy);
    this.#rows = new Uint32Array(pagesMax * ABI.pageTokens);
    this.#stepMs = stepMs;
    this.info = {
      backend: "fake",
      model: {
        name: "fake",
        architecture: "fake",
        digest: DIGEST,
        vocab_size: vocabSize,
        context_max: contextMax,
        hidden_size: 8,
      },
      head: { digest: DIGEST },
      page_tokens: ABI.pageTokens,
      pages_max: pagesMax,
      slots_max: slotsMax,
      rows_max: rowsMax,
      kv_bytes_per_token: 4,
      weight_bytes: 0,
    };
  }

  async step(plan: Uint8Array<ArrayBuffer>, result: Uint8Array<ArrayBuffer>): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, this.#stepMs));
    this.stepNow(plan, result);
  }

  hidden(): Promise<void> {
    return Promise.reject(new EngineError("The fake has no hidden states", "unsupported"));
  }

  close(): void {
    this.#closed = true;
  }

  /** One step, at once: simulation has its own clock. */
  stepNow(planBytes: Uint8Array, result: Uint8Array): void {
    this.#require(!this.#closed, "bad_argument", "the engine is closed");
    const status = this.failNext;
    this.failNext = undefined;
    if (status !== undefined) throw new EngineError(`The fake was told to fail: ${status}`, status);
    const plan = decodePlan(planBytes, (slot) => this.#slots.get(slot)?.sampling.logprobs ?? 0);
    // A bad plan changes nothing, so all of it is checked before any of it runs.
    const seen = new Set<number>();
    let rowCount = 0;
    for (const record of plan.records) {
      this.#ask(!seen.has(record.slot), `slot ${record.slot} is there twice`);
      seen.add(record.slot);
      rowCount += this.#checkRecord(record);
    }
    this.#ask(rowCount <= this.info.rows_max, `${rowCount} rows of ${this.info.rows_max}`);
    const records = plan.records.map((record) => this.#run(record));
    const micros = { ...NO_MICROS, step: 100 + rowCount, draft: 10 };
    encodeResult({ stepId: plan.stepId, rowCount, micros, records }, result);
  }

  /** Throws unless the record fits the slot's state. Returns its rows. */
  #checkRecord(record: PlanRecord): number {
    const { slot, computedCount, tokenCount, pageStart, pages, budget } = record;
    const { slots_max, pages_max, model } = this.info;
    this.#ask(slot < slots_max, `slot ${slot}`);
    this.#ask(pages.every((page) => page < pages_max), "a page that does not exist");
    this.#ask(record.tokens.every((token) => token < model.vocab_size), "a token out of range");
    this.#ask(budget.beamWidth <= ABI.beamWidthMax, "beam_width");
    this.#ask(budget.beamLength <= ABI.beamLengthMax, "beam_length");
    this.#ask(budget.packedMax <= ABI.treeTokensMax, "packed_max");
    this.#ask((budget.pathMax ?? 0) <= ABI.beamLengthMax, "path_max");
    const held = record.reset === undefined ? this.#slots.get(slot) : undefined;
    this.#ask(record.reset !== undefined || held !== undefined, "a slot that never started");
    this.#ask(record.reset === undefined || tokenCount > 0, "RESET without context");
    const tableLength = held?.pages.length ?? 0;
    this.#ask(pageStart <= tableLength, "a hole in the page table");
    const table = [...(held?.pages.slice(0, pageStart) ?? []), ...pages];
    this.#ask(table.length >= tableLength, "a shrinking page table");
    this.#ask(new Set(table).size === table.length, "a page twice in one table");
    const known = held?.tokens ?? [...record.tokens.subarray(0, computedCount)];
    this.#ask(computedCount === (held?.computedCount ?? computedCount), "computed_count");
    this.#checkRows(table, known, computedCount);
    if (tokenCount > 0) {
      this.#ask((held?.pending.length ?? 0) === 0, "context in the generation phase");
      this.#ask(computedCount + tokenCount <= model.context_max, "past the context");
      this.#ask(table.length * ABI.pageTokens >= computedCount + tokenCount, "pages for context");
      this.#ask(record.verifyMax === 0, "verify_max without a tree");
      return tokenCount;
    }
    const pending = held?.pending ?? [];
    this.#ask(pending.length > 0 && record.sample, "generation without a pending root");
    const depth = pending.reduce((max, packed) => Math.max(max, packed.depth), 0);
    const rowsHeld = table.length * ABI.pageTokens;
    this.#ask(rowsHeld >= computedCount + 1 + depth, "pages for the pending tree");
    this.#ask(computedCount + 1 + depth <= model.context_max, "past the context");
    return record.verifyMax === 0 ? pending.length : Math.min(record.verifyMax, pending.length);
  }

  /** Each computed row must hold this prefix and no other. */
  #checkRows(table: number[], tokens: number[], count: number): void {
    this.#ask(table.length * ABI.pageTokens >= count, "pages for the computed rows");
    let hash = PREFIX_START;
    for (let i = 0; i < count; i++) {
      hash = mix(hash, tokens[i]);
      if (this.#rows[this.#row(table, i)] !== hash) {
        this.#ask(false, `row ${i} is another prefix's`);
      }
    }
  }

  #run(record: PlanRecord): ResultRecord {
    const { computedCount, tokenCount, pageStart, pages } = record;
    let slot = this.#slots.get(record.slot);
    if (record.reset !== undefined) {
      const tokens = Array.from(record.tokens.subarray(0, computedCount));
      slot = { sampling: record.reset.sampling, tokens, pages: [], computedCount, pending: [] };
      this.#slots.set(record.slot, slot);
    }
    if (slot === undefined) throw new EngineError("The plan was checked", "internal");
    slot.pages.splice(pageStart, slot.pages.length, ...pages);
    if (tokenCount === 0) return this.#generate(record, slot);
    const chunk = record.reset === undefined
      ? record.tokens
      : record.tokens.subarray(computedCount);
    chunk.forEach((token) => this.#commit(slot, token));
    const drawn = record.sample ? [this.#next(slot)] : [];
    return this.#finish(record, slot, drawn, 0, []);
  }

  /** Verifies and validates the pending tree: the exact walk of the product. */
  #generate(record: PlanRecord, slot: FakeSlot): ResultRecord {
    const count = record.verifyMax === 0 ? slot.pending.length : record.verifyMax;
    const tree = slot.pending.slice(0, count);
    const accepted = new Set([0]);
    this.#commit(slot, tree[0].token);
    const drawn: number[] = [];
    for (let at = 0;;) {
      const token = this.#next(slot);
      drawn.push(token);
      at = tree.findIndex((packed) => packed.parent === at && packed.token === token);
      if (at < 0) break;
      accepted.add(at);
      this.#commit(slot, token);
    }
    const trace = tree.map(({ token, parent, depth }, r) => ({
      token,
      parent,
      logprob: PATH_LOGPROB * depth,
      accepted: accepted.has(r),
    }));
    return this.#finish(record, slot, drawn, tree.length - 1, trace);
  }

  #finish(
    record: PlanRecord,
    slot: FakeSlot,
    tokens: number[],
    draftedCount: number,
    trace: ResultRecord["tree"],
  ): ResultRecord {
    slot.pending = [];
    const root = tokens.at(-1);
    if (root !== undefined) {
      const prefixHash = mix(this.#prefixHash(slot), root);
      const token = { token: root, parent: -1, depth: 0, prefixHash };
      const { sampling, computedCount } = slot;
      slot.pending = this.#model.draft(token, computedCount, sampling, record.budget);
    }
    const topCount = Math.max(0, record.logprobs - 1);
    const top = Array.from({ length: topCount }, (_, i) => [i, TOP_LOGPROB - i] as const);
    return {
      slot: record.slot,
      computedCount: slot.computedCount,
      tokens,
      logprobs: record.logprobs > 0 ? tokens.map(() => ({ logprob: TOP_LOGPROB, top })) : [],
      draftedCount,
      acceptedCount: Math.max(0, tokens.length - 1),
      pendingLogprobs: Float32Array.from(slot.pending, ({ depth }) => PATH_LOGPROB * depth),
      draftLength: slot.pending.reduce((max, { depth }) => Math.max(max, depth), 0),
      tree: record.wantTree ? trace : [],
    };
  }

  #commit(slot: FakeSlot, token: number): void {
    const hash = mix(this.#prefixHash(slot), token);
    this.#rows[this.#row(slot.pages, slot.computedCount)] = hash;
    slot.tokens[slot.computedCount++] = token;
  }

  /** Draws at the position after the last committed row. */
  #next(slot: FakeSlot): number {
    return this.#model.next(this.#prefixHash(slot), slot.computedCount, slot.sampling);
  }

  #prefixHash({ pages, computedCount }: FakeSlot): number {
    return computedCount === 0 ? PREFIX_START : this.#rows[this.#row(pages, computedCount - 1)];
  }

  #row(pages: number[], position: number): number {
    const page = pages[Math.floor(position / ABI.pageTokens)];
    return page * ABI.pageTokens + position % ABI.pageTokens;
  }

  #ask(holds: boolean, what: string): void {
    this.#require(holds, "bad_plan", what);
  }

  #require(holds: boolean, status: EngineStatusName, what: string): void {
    if (!holds) throw new EngineError(`Cannot run plan: ${what}`, status);
  }
}
