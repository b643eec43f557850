/** A sequence: one request on this node, its tokens, its pages and its slot. Pure.
 *
 * There is no context or generation state, only computed tokens that catch up with known ones:
 * `computedCount < knownCount <= lengthMax` while it runs; one token apart is the generation phase.
 * @module */

import { assert } from "../proto/assert.ts";
import type { ConstrainedNode } from "./constrained_tree.ts";
import type { Constraint } from "./constraint.ts";
import { HeadWorth, WorthStart } from "./head_worth.ts";
import type { EventSink, SequenceFinish, SequenceRequest } from "./engine.ts";

export class Sequence {
  readonly request: SequenceRequest;
  readonly sink: EventSink;
  /** Counts submissions: of equal priority, the earlier goes first. */
  readonly arrival: number;
  readonly arrivedAt: number;
  /** Tokens at which it ends, prompt included. */
  readonly lengthMax: number;
  /** Known tokens fill the first `knownCount` elements. */
  readonly #tokens: Uint32Array;
  knownCount: number;
  /** KV rows that the engine holds for it; 0 while it waits. */
  computedCount = 0;
  slot: number | undefined;
  /** The slot's page table. */
  pages: number[] = [];
  /** How many of `pages` the engine has been told of. */
  pagesSent = 0;
  /** Its next record starts the slot afresh. */
  resetNeeded = false;
  /** Of the tree that the engine holds for its next step: the log-probability of each packed
   * token's path, falling, the root's 0 first; empty in the context phase. */
  pendingLogprobs: Float32Array = new Float32Array(0);
  /** The longest path of that tree: KV rows it may commit beyond the root's. */
  pendingDraftLength = 0;
  /** Of a constrained sequence, that tree: the engine gets it with the plan. */
  pendingTree: readonly ConstrainedNode[] = [];
  /** What the draft head took for that tree; `undefined` if it had no part in it. */
  headMicros: number | undefined;
  paused = false;
  /** In the step under way: neither its pages nor its slot may be touched. */
  inStep = false;
  cancelled = false;
  /** Hashes of its full blocks, as far as they have been computed. */
  blockHashes: BigUint64Array = new BigUint64Array(0);
  /** Its leading pages that are in the prefix cache under their hash. */
  registeredCount = 0;
  /** Identity of the last registered block in the prefix cache; 0 = none. */
  registeredSerial = 0;
  /** False once a block could not be registered: none after it can match. */
  registrable = true;
  cachedCount = 0;
  draftedCount = 0;
  acceptedCount = 0;
  stepCount = 0;
  admittedAt: number | undefined;
  firstTokenAt: number | undefined;

  constructor(
    request: SequenceRequest,
    sink: EventSink,
    arrival: number,
    now: number,
    contextMax: number,
    readonly constraint?: Constraint,
    readonly headWorth = new HeadWorth(new WorthStart()),
  ) {
    assert(request.tokens.length < contextMax, "there is room for one token more");
    this.request = request;
    this.sink = sink;
    this.arrival = arrival;
    this.arrivedAt = now;
    this.lengthMax = Math.min(contextMax, request.tokens.length + request.tokensMax);
    this.#tokens = new Uint32Array(this.lengthMax);
    this.#tokens.set(request.tokens);
    this.knownCount = request.tokens.length;
  }

  get id(): number {
    return this.request.id;
  }

  /** Tokens from here on are the model's own. */
  get promptCount(): number {
    return this.request.tokens.length - this.request.generatedCount;
  }

  get generatedCount(): number {
    return this.knownCount - this.request.tokens.length;
  }

  /** Tokens it may still gain. */
  get remainingCount(): number {
    return this.lengthMax - this.knownCount;
  }

  get uncomputedCount(): number {
    return this.knownCount - this.computedCount;
  }

  /** Only the newest known token is uncomputed, and the engine holds it as the root of a tree. */
  get inGeneration(): boolean {
    return this.pendingLogprobs.length > 0;
  }

  tokens(start: number, end: number): Uint32Array {
    assert(start >= 0 && start <= end && end <= this.knownCount, "only known tokens are read");
    return this.#tokens.subarray(start, end);
  }

  push(token: number): void {
    assert(this.remainingCount > 0, "a full sequence has ended");
    this.#tokens[this.knownCount++] = token;
    this.constraint?.advance(token);
  }

  /** Forgets slot and pages, which the caller has freed; its tokens stay and are computed anew. */
  vacate(): void {
    this.slot = undefined;
    this.pages = [];
    this.pagesSent = 0;
    this.computedCount = 0;
    this.pendingLogprobs = new Float32Array(0);
    this.pendingDraftLength = 0;
    this.pendingTree = [];
    this.headMicros = undefined;
    this.registeredCount = 0;
    this.registeredSerial = 0;
    this.registrable = true;
    this.resetNeeded = false;
  }

  /** Throws if the counts contradict each other. */
  check(pageTokens: number): void {
    assert(this.computedCount < this.knownCount, "computedCount < knownCount");
    assert(this.knownCount <= this.lengthMax, "knownCount <= lengthMax");
    assert(this.knownCount < this.lengthMax || this.inStep, "a full sequence has ended");
    assert(!this.inGeneration || this.uncomputedCount === 1, "generation lacks one token");
    assert(this.computedCount <= this.pages.length * pageTokens, "pages cover computed rows");
    assert(this.pagesSent <= this.pages.length, "pages are sent once they are held");
    assert(this.registeredCount * pageTokens <= this.computedCount, "only full pages register");
    if (this.slot !== undefined) return;
    assert(this.pages.length === 0 && this.computedCount === 0, "without a slot it holds nothing");
  }

  finish(reason: SequenceFinish["reason"], now: number, stopToken?: number): SequenceFinish {
    const admittedAt = this.admittedAt ?? now;
    const firstTokenAt = this.firstTokenAt ?? now;
    return {
      reason,
      ...(stopToken === undefined ? {} : { stopToken }),
      promptCount: this.request.tokens.length,
      generatedCount: this.generatedCount,
      cachedCount: this.cachedCount,
      draftedCount: this.draftedCount,
      acceptedCount: this.acceptedCount,
      stepCount: this.stepCount,
      queueMs: admittedAt - this.arrivedAt,
      contextMs: firstTokenAt - admittedAt,
      generationMs: now - firstTokenAt,
    };
  }
}

/** Negative if `a` goes before `b`: the higher priority, then the earlier arrival. */
export function compareRank(a: Sequence, b: Sequence): number {
  return b.request.priority - a.request.priority || a.arrival - b.arrival;
}
