/** The sequences of a node: those that wait, those in slots, and the pages between them. Pure.
 * @module */

import { assert, assertEqual } from "../proto/assert.ts";
import type { HashBlocks, KvPages } from "./kv_pages.ts";
import { compareRank, type Sequence } from "./sequence.ts";

export interface BatchOptions {
  slotsMax: number;
  hashBlocks: HashBlocks;
  /** Where a sequence's chain of hashes starts. */
  seedOf: (salt: string) => Uint8Array;
}

export class Batch {
  readonly pages: KvPages;
  readonly #options: BatchOptions;
  /** By rank. A preempted sequence comes back to the place that its arrival gives it. */
  readonly waiting: Sequence[] = [];
  readonly #slots: (Sequence | undefined)[];
  #busyCount = 0;
  prefixQueries = 0;
  prefixHits = 0;
  preemptions = 0;

  constructor(pages: KvPages, options: BatchOptions) {
    this.pages = pages;
    this.#options = options;
    this.#slots = Array.from({ length: options.slotsMax }, () => undefined);
  }

  get busyCount(): number {
    return this.#busyCount;
  }

  /** Those in slots, by rank. */
  running(): Sequence[] {
    return this.#slots.filter((sequence) => sequence !== undefined).sort(compareRank);
  }

  enqueue(sequence: Sequence): void {
    assert(sequence.slot === undefined, "what waits has no slot");
    let low = 0;
    let high = this.waiting.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareRank(this.waiting[middle], sequence) < 0) low = middle + 1;
      else high = middle;
    }
    this.waiting.splice(low, 0, sequence);
  }

  /** Takes a sequence out of the queue or its slot and frees all that it holds. */
  remove(sequence: Sequence): void {
    assert(!sequence.inStep, "a step under way may write its pages");
    if (sequence.slot === undefined) {
      const at = this.waiting.indexOf(sequence);
      assert(at >= 0, "a sequence without a slot waits");
      this.waiting.splice(at, 1);
    } else {
      this.#vacate(sequence);
    }
  }

  /** Frees slot and pages; the sequence waits again, and what it generated becomes context. */
  preempt(sequence: Sequence): void {
    assert(!sequence.inStep && sequence.slot !== undefined, "only what runs is preempted");
    this.#vacate(sequence);
    this.enqueue(sequence);
    this.preemptions++;
  }

  /** Admits a waiting sequence if a slot and the pages for all its known tokens can be had.
   * @param pagesSpare Pages that must be left for those that run already. */
  admit(sequence: Sequence, pagesSpare: number, now: number): boolean {
    const slot = this.#slots.indexOf(undefined);
    if (slot < 0) return false;
    const { pages } = this;
    // The newest token is never taken from the cache: its row gives the next token's logits.
    const blocksMax = sequence.request.ignorePrefix
      ? 0
      : Math.floor((sequence.knownCount - 1) / pages.pageTokens);
    const hashes = this.#hashes(sequence, blocksMax);
    const match = pages.match(sequence.tokens(0, sequence.knownCount), hashes, blocksMax);
    const missing = pages.pagesFor(sequence.knownCount) - match.pages.length;
    if (pages.availableCount < missing + pagesSpare) {
      pages.release(match.pages);
      return false;
    }
    this.waiting.splice(this.waiting.indexOf(sequence), 1);
    this.#slots[slot] = sequence;
    this.#busyCount++;
    sequence.slot = slot;
    sequence.pages = match.pages;
    sequence.registeredCount = match.pages.length;
    sequence.registeredSerial = match.serial;
    sequence.computedCount = match.pages.length * pages.pageTokens;
    sequence.resetNeeded = true;
    assert(this.cover(sequence, sequence.knownCount), "the pages were counted");
    if (sequence.admittedAt === undefined) {
      sequence.admittedAt = now;
      sequence.cachedCount = sequence.computedCount;
      this.prefixQueries += sequence.knownCount;
      this.prefixHits += sequence.computedCount;
    }
    return true;
  }

  /** Gives a sequence pages for `rowCount` KV rows, or as many of them as there are. */
  cover(sequence: Sequence, rowCount: number): boolean {
    const count = this.pages.pagesFor(rowCount);
    while (sequence.pages.length < count) {
      const page = this.pages.allocate();
      if (page === undefined) return false;
      sequence.pages.push(page);
    }
    return true;
  }

  /** Lets others find the pages that `rowCount` computed rows have filled. */
  register(sequence: Sequence, rowCount: number): void {
    const { pageTokens } = this.pages;
    const full = Math.floor(Math.min(rowCount, sequence.knownCount) / pageTokens);
    if (!sequence.registrable || full <= sequence.registeredCount) return;
    const hashes = this.#hashes(sequence, full);
    const tokens = sequence.tokens(0, full * pageTokens);
    for (let block = sequence.registeredCount; block < full; block++) {
      const page = sequence.pages[block];
      const parent = sequence.registeredSerial;
      const serial = this.pages.register(page, hashes[block], tokens, block, parent);
      if (serial === 0) {
        sequence.registrable = false;
        return;
      }
      sequence.registeredSerial = serial;
      sequence.registeredCount = block + 1;
    }
  }

  check(): void {
    const running = this.running();
    for (const sequence of running) sequence.check(this.pages.pageTokens);
    for (const sequence of this.waiting) sequence.check(this.pages.pageTokens);
    running.forEach((s) => assert(this.#slots[s.slot!] === s, "a slot holds who names it"));
    assertEqual(running.length, this.#busyCount, "slotsBusy + slotsFree = slotsMax");
    this.waiting.forEach((s, i) => {
      assert(s.slot === undefined, "what waits has no slot");
      assert(i === 0 || compareRank(this.waiting[i - 1], s) < 0, "the queue is by rank");
    });
    this.pages.check(running.map((sequence) => sequence.pages));
  }

  #hashes(sequence: Sequence, blockCount: number): BigUint64Array {
    if (sequence.blockHashes.length < blockCount) {
      const { hashBlocks, seedOf } = this.#options;
      const { pageTokens } = this.pages;
      const tokens = sequence.tokens(0, blockCount * pageTokens);
      sequence.blockHashes = hashBlocks(tokens, pageTokens, seedOf(sequence.request.salt));
      assertEqual(sequence.blockHashes.length, blockCount, "a hash for each full block");
    }
    return sequence.blockHashes;
  }

  #vacate(sequence: Sequence): void {
    assert(sequence.slot !== undefined && this.#slots[sequence.slot] === sequence);
    this.#slots[sequence.slot] = undefined;
    this.#busyCount--;
    this.pages.release(sequence.pages);
    sequence.vacate();
  }
}
