/** KV pages: who holds which, and which full ones may serve another sequence's prefix. Pure.
 *
 * A page is free (empty), held (in `refCount` page tables), or cached (in none, but full and known
 * by its block's hash); free + held + cached = `pagesMax`. Cached pages go when free ones run out,
 * the least recently used first.
 *
 * A hash is a hint. A block also has a serial, and a hit needs the same tokens after the same
 * parent's serial: by induction the whole prefix is the same, even among colliding hashes.
 * @module */

import { assert, assertEqual } from "../proto/assert.ts";
import type { BlockReport } from "./engine.ts";
import { PageList } from "./page_list.ts";

/** Chained hashes of the full blocks of `tokens`. */
export type HashBlocks = (
  tokens: Uint32Array,
  pageTokens: number,
  seed: Uint8Array,
) => BigUint64Array;

export interface PrefixMatch {
  /** Held for the caller, in order. */
  pages: number[];
  /** Serial of the last one; 0 = none. */
  serial: number;
}

export class KvPages {
  readonly pagesMax: number;
  readonly pageTokens: number;
  readonly #free: number[];
  readonly #cached: PageList;
  readonly #refCounts: Uint32Array;
  readonly #byHash = new Map<bigint, number>();
  /** Below, what a registered page holds; serial 0 = it is not registered. */
  readonly #hashes: BigUint64Array;
  readonly #serials: Float64Array;
  readonly #parents: Float64Array;
  readonly #tokens: Uint32Array;
  #serialLast = 0;
  #heldCount = 0;
  #stored = new Set<bigint>();
  #removed = new Set<bigint>();

  constructor(pagesMax: number, pageTokens: number) {
    assert(Number.isInteger(pagesMax) && pagesMax > 0);
    assert(Number.isInteger(pageTokens) && pageTokens > 0);
    this.pagesMax = pagesMax;
    this.pageTokens = pageTokens;
    this.#free = Array.from({ length: pagesMax }, (_, i) => pagesMax - 1 - i);
    this.#cached = new PageList(pagesMax);
    this.#refCounts = new Uint32Array(pagesMax);
    this.#hashes = new BigUint64Array(pagesMax);
    this.#serials = new Float64Array(pagesMax);
    this.#parents = new Float64Array(pagesMax);
    this.#tokens = new Uint32Array(pagesMax * pageTokens);
  }

  /** Pages that `allocate` can give. */
  get availableCount(): number {
    return this.#free.length + this.#cached.length;
  }

  get cachedCount(): number {
    return this.#cached.length;
  }

  get heldCount(): number {
    return this.#heldCount;
  }

  /** Pages for `tokenCount` KV rows. */
  pagesFor(tokenCount: number): number {
    return Math.ceil(tokenCount / this.pageTokens);
  }

  /** An empty page, held once; `undefined` if all are held. */
  allocate(): number | undefined {
    const page = this.#free.pop() ?? this.#evict();
    if (page === undefined) return undefined;
    assert(this.#refCounts[page] === 0 && this.#serials[page] === 0, "a fresh page is nobody's");
    this.#refCounts[page] = 1;
    this.#heldCount++;
    return page;
  }

  /** Holds the pages of the longest cached prefix of `tokens`, at most `blocksMax` of them. */
  match(tokens: Uint32Array, hashes: BigUint64Array, blocksMax: number): PrefixMatch {
    const pages: number[] = [];
    let serial = 0;
    for (let block = 0; block < Math.min(blocksMax, hashes.length); block++) {
      const page = this.#byHash.get(hashes[block]);
      if (page === undefined || !this.#isBlock(page, tokens, block, serial)) break;
      serial = this.#serials[page];
      if (this.#refCounts[page]++ === 0) {
        this.#cached.remove(page);
        this.#heldCount++;
      }
      pages.push(page);
    }
    return { pages, serial };
  }

  /** Makes a full page known by its block's hash.
   * @param tokens The sequence's tokens; the page holds block `block` of them.
   * @param parent Serial of the block before; 0 for the first.
   * @returns The block's serial, which is another page's where that one came first; 0 if the hash
   * is taken by another block: then none of the blocks after this one can be registered either. */
  register(
    page: number,
    hash: bigint,
    tokens: Uint32Array,
    block: number,
    parent: number,
  ): number {
    assert(this.#refCounts[page] > 0, "only a held page registers");
    assert(block === 0 || parent > 0, "its parent has registered");
    if (this.#serials[page] !== 0) {
      assert(this.#isBlock(page, tokens, block, parent), "a registered page is never overwritten");
      return this.#serials[page];
    }
    const other = this.#byHash.get(hash);
    if (other !== undefined) {
      if (this.#isBlock(other, tokens, block, parent)) return this.#serials[other];
      if (this.#refCounts[other] > 0) return 0;
      // Its parent has been evicted since, so it can never match again; or the hashes collide.
      this.#cached.remove(other);
      this.#unregister(other);
      this.#free.push(other);
    }
    const serial = ++this.#serialLast;
    this.#serials[page] = serial;
    this.#parents[page] = parent;
    this.#hashes[page] = hash;
    const start = block * this.pageTokens;
    this.#tokens.set(tokens.subarray(start, start + this.pageTokens), page * this.pageTokens);
    this.#byHash.set(hash, page);
    if (!this.#removed.delete(hash)) this.#stored.add(hash);
    return serial;
  }

  /** Lets go of a page table. The last page is the first to be evicted: without its parents a
   * block can never match. */
  release(pages: readonly number[]): void {
    for (let i = pages.length - 1; i >= 0; i--) {
      const page = pages[i];
      assert(this.#refCounts[page] > 0, "a held page is released once");
      if (--this.#refCounts[page] > 0) continue;
      this.#heldCount--;
      if (this.#serials[page] === 0) this.#free.push(page);
      else this.#cached.push(page);
    }
  }

  takeReport(): BlockReport {
    const report = {
      stored: BigUint64Array.from(this.#stored),
      removed: BigUint64Array.from(this.#removed),
    };
    this.#stored = new Set();
    this.#removed = new Set();
    return report;
  }

  storedBlocks(): BigUint64Array {
    return BigUint64Array.from(this.#byHash.keys());
  }

  /** Throws unless every page is in one state alone. `tables`: all page tables there are. */
  check(tables: Iterable<readonly number[]>): void {
    const refCounts = new Uint32Array(this.pagesMax);
    for (const pages of tables) for (const page of pages) refCounts[page]++;
    const isCounted = refCounts.length === this.#refCounts.length &&
      refCounts.every((count, page) => count === this.#refCounts[page]);
    assert(isCounted, "a refcount is the page tables that name it");
    const sum = this.#free.length + this.#heldCount + this.#cached.length;
    assertEqual(sum, this.pagesMax, "free + held + cached = pagesMax");
    const heldCount = refCounts.reduce((count, refs) => count + Number(refs > 0), 0);
    assertEqual(heldCount, this.#heldCount, "held pages are those that page tables name");
    const serialCount = this.#serials.filter((serial) => serial !== 0).length;
    assertEqual(this.#byHash.size, serialCount, "registered pages are found by their hash");
    for (const page of this.#free) assert(refCounts[page] === 0 && this.#serials[page] === 0);
    for (const page of this.#cached) assert(refCounts[page] === 0 && this.#serials[page] !== 0);
  }

  #isBlock(page: number, tokens: Uint32Array, block: number, parent: number): boolean {
    if (this.#serials[page] === 0 || this.#parents[page] !== parent) return false;
    const start = block * this.pageTokens;
    const own = page * this.pageTokens;
    for (let i = 0; i < this.pageTokens; i++) {
      if (this.#tokens[own + i] !== tokens[start + i]) return false;
    }
    return true;
  }

  #evict(): number | undefined {
    const page = this.#cached.shift();
    if (page !== undefined) this.#unregister(page);
    return page;
  }

  #unregister(page: number): void {
    const hash = this.#hashes[page];
    assert(this.#byHash.get(hash) === page, "a hash names one page");
    this.#byHash.delete(hash);
    this.#serials[page] = 0;
    if (!this.#stored.delete(hash)) this.#removed.add(hash);
  }
}
