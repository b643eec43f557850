/** A list of pages, oldest first, in which any page is found at once. Pure. @module */

import { assert } from "../proto/assert.ts";

/** Doubly linked over two arrays, so that it grows no heap however often pages come and go. */
export class PageList {
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** Index of the sentinel, which closes the ring. */
  readonly #end: number;
  #length = 0;

  constructor(pagesMax: number) {
    this.#end = pagesMax;
    this.#next = new Int32Array(pagesMax + 1).fill(-1);
    this.#previous = new Int32Array(pagesMax + 1).fill(-1);
    this.#next[pagesMax] = this.#previous[pagesMax] = pagesMax;
  }

  get length(): number {
    return this.#length;
  }

  push(page: number): void {
    assert(page >= 0 && page < this.#end && this.#next[page] < 0, "it is not in the list");
    const last = this.#previous[this.#end];
    this.#next[last] = page;
    this.#previous[page] = last;
    this.#next[page] = this.#end;
    this.#previous[this.#end] = page;
    this.#length++;
  }

  remove(page: number): void {
    assert(page >= 0 && page < this.#end && this.#next[page] >= 0, "it is in the list");
    this.#next[this.#previous[page]] = this.#next[page];
    this.#previous[this.#next[page]] = this.#previous[page];
    this.#next[page] = this.#previous[page] = -1;
    this.#length--;
  }

  /** Takes the oldest. */
  shift(): number | undefined {
    if (this.#length === 0) return undefined;
    const page = this.#next[this.#end];
    this.remove(page);
    return page;
  }

  *[Symbol.iterator](): Iterator<number> {
    for (let page = this.#next[this.#end]; page !== this.#end; page = this.#next[page]) yield page;
  }
}
