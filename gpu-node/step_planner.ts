/** Plans one step: who takes part, with which rows. Pure.
 *
 * Generation and context phase share the step. By rank: those in generation get their pages first,
 * preempting whom they outrank; then the queue is admitted while slots and pages last; then the
 * rows are dealt out, one to each in generation before anything else.
 * @module */

import { assert } from "../proto/assert.ts";
import type { Batch } from "./batch.ts";
import { budgetAt, chooseBudget, chooseVerified, payingChance } from "./draft_budget.ts";
import type { Constraint } from "./constraint.ts";
import type { DraftBudget } from "./engine.ts";
import type { GrammarState } from "./grammar_state.ts";
import { compareRank, type Sequence } from "./sequence.ts";
import type { StepCost } from "./step_cost.ts";
import { MASKS_MAX } from "./step_codec.ts";
import { type DraftTree, NO_BUDGET, type PlanRecord } from "./step_plan.ts";

export interface PlannerOptions {
  rowsMax: number;
  /** Tokens of the longest sequence. */
  contextMax: number;
  /** Context tokens of one sequence in one step. */
  chunkMax: number;
  /** Context rows of a step that also generates: they delay every token of it. */
  mixedContextRowsMax: number;
  /** The most that a sequence drafts unless its request says otherwise: what a step costs and who
   * else runs take from it. */
  budget: DraftBudget;
  costs: StepCost;
  /** Constrained sequences draft too: the engine verifies trees with a mask at each token. */
  draftsInGrammars?: boolean;
}

export interface PlannedSequence {
  sequence: Sequence;
  record: PlanRecord;
}

/** The records of the next step, in rank order of each phase; empty if nobody can move. */
export function planRecords(batch: Batch, options: PlannerOptions, now: number): PlannedSequence[] {
  const generating = coverGeneration(batch);
  admitWaiting(batch, now);
  const inContext = batch.running().filter((s) => !s.paused && !s.inGeneration);
  const busyCount = Math.max(1, batch.busyCount);
  const drafting: Drafting = {
    // Whoever is in context now will run beside the next trees.
    wanted: budgetAt(options.budget, payingChance(options.costs, busyCount)),
    rowShare: Math.max(1, Math.floor(options.rowsMax / busyCount)),
    contextMax: options.contextMax,
    inGrammars: options.draftsInGrammars ?? false,
  };
  const planned: PlannedSequence[] = [];
  // A quarter of the rows, so that long trees cannot keep a new sequence from its first token.
  const contextRows = inContext.length === 0 ? 0 : Math.max(1, options.rowsMax >> 2);
  const rows = verifiedRows(generating, contextRows, options);
  generating.forEach((sequence, i) => {
    const verifyMax = rows[i] < sequence.pendingLogprobs.length ? rows[i] : 0;
    planned.push({ sequence, record: planRecord(sequence, 0, verifyMax, drafting) });
  });
  let contextLeft = options.rowsMax - rows.reduce((sum, count) => sum + count, 0);
  if (generating.length > 0) contextLeft = Math.min(contextLeft, options.mixedContextRowsMax);
  for (const sequence of inContext) {
    const rows = Math.min(sequence.uncomputedCount, contextLeft, options.chunkMax);
    if (rows === 0) break;
    contextLeft -= rows;
    planned.push({ sequence, record: planRecord(sequence, rows, 0, drafting) });
  }
  return planned;
}

const NO_HEAD = { beamWidth: 0, beamLength: 0 };

/** What a step leaves for the next trees. */
interface Drafting {
  wanted: DraftBudget;
  rowShare: number;
  contextMax: number;
  inGrammars: boolean;
}

/** Rows of each in generation: whole trees where the request asked for its budget, else as many as
 * pay. */
function verifiedRows(
  generating: readonly Sequence[],
  contextRows: number,
  options: PlannerOptions,
): number[] {
  const rowsMax = Math.max(generating.length, options.rowsMax - contextRows);
  assert(generating.length <= options.rowsMax, "a row for each slot");
  const rows = generating.map(() => 1);
  let rowsLeft = rowsMax;
  generating.forEach(({ request, pendingLogprobs }, i) => {
    const share = Math.floor(rowsLeft / (generating.length - i));
    if (request.budget !== undefined) rows[i] = Math.min(pendingLogprobs.length, share);
    rowsLeft -= rows[i];
    assert(rows[i] >= 1 && rowsLeft >= 0, "each in generation gets a row");
  });
  const chosen = generating.flatMap(({ request }, i) => request.budget === undefined ? [i] : []);
  if (chosen.length === 0) return rows;
  const rowsFixed = rowsMax - rowsLeft - chosen.length;
  const counts = chooseVerified(
    chosen.map((i) => generating[i].pendingLogprobs),
    rowsFixed,
    rowsMax,
    options.costs,
  );
  chosen.forEach((i, at) => rows[i] = counts[at]);
  return rows;
}

/** Those in generation that have pages for whatever they may commit in this step. */
function coverGeneration(batch: Batch): Sequence[] {
  const covered: Sequence[] = [];
  for (const sequence of batch.running()) {
    if (sequence.slot === undefined || sequence.paused || !sequence.inGeneration) continue;
    const rowCount = sequence.computedCount + 1 + sequence.pendingDraftLength;
    let isCovered = batch.cover(sequence, rowCount);
    while (!isCovered) {
      const victim = chooseVictim(batch, sequence);
      batch.preempt(victim);
      if (victim === sequence) break;
      isCovered = batch.cover(sequence, rowCount);
    }
    if (isCovered) covered.push(sequence);
  }
  return covered;
}

/** Who makes room for `sequence`: a paused one first, which loses only a recomputation that may
 * never be wanted; then the lowest rank of all, which may be `sequence` itself. The highest rank
 * that is not paused is never a victim, so someone always gets to the end. */
function chooseVictim(batch: Batch, sequence: Sequence): Sequence {
  const running = batch.running();
  const paused = running.findLast((other) => other.paused);
  const victim = paused ?? running.at(-1);
  assert(victim !== undefined, "the sequence itself runs");
  assert(
    victim.paused || compareRank(victim, sequence) >= 0,
    "nobody is preempted by a lower rank",
  );
  return victim;
}

/** Admits by rank. One that does not fit keeps those behind it waiting: let past, they would hold
 * the pages that it waits for. */
function admitWaiting(batch: Batch, now: number): void {
  const candidates = batch.waiting.filter((sequence) => !sequence.paused);
  for (const sequence of candidates) {
    while (!batch.admit(sequence, pagesSpare(batch), now)) {
      const paused = batch.running().findLast((other) => other.paused);
      if (paused === undefined) return;
      batch.preempt(paused);
    }
  }
}

/** A page for each that runs: admitted without, a newcomer would be preempted in a few steps. */
function pagesSpare(batch: Batch): number {
  return batch.running().filter((sequence) => !sequence.paused).length;
}

function planRecord(
  sequence: Sequence,
  tokenCount: number,
  verifyMax: number,
  drafting: Drafting,
): PlanRecord {
  const { request, computedCount } = sequence;
  assert(sequence.slot !== undefined && !sequence.inStep && !sequence.cancelled);
  const sample = computedCount + tokenCount === sequence.knownCount || sequence.inGeneration;
  const { constraint } = sequence;
  const budget = sample && (constraint === undefined || drafting.inGrammars)
    ? chooseBudget({
      wanted: request.budget ??
        (sequence.headWorth.runs ? drafting.wanted : { ...drafting.wanted, ...NO_HEAD }),
      remainingCount: sequence.remainingCount,
      contextRoom: drafting.contextMax - sequence.knownCount,
      pendingDraftLength: sequence.pendingDraftLength,
      rowShare: drafting.rowShare,
    })
    : NO_BUDGET;
  const tokensStart = sequence.resetNeeded ? 0 : computedCount;
  return {
    slot: sequence.slot,
    ...(sequence.resetNeeded
      ? { reset: { sampling: request.sampling, promptCount: sequence.promptCount } }
      : {}),
    sample,
    wantTree: request.wantTree,
    computedCount,
    tokenCount,
    tokens: sequence.inGeneration
      ? new Uint32Array(0)
      : sequence.tokens(tokensStart, computedCount + tokenCount),
    pageStart: sequence.pagesSent,
    pages: sequence.pages.slice(sequence.pagesSent),
    budget,
    verifyMax: constraint === undefined ? verifyMax : 1,
    logprobs: request.sampling.logprobs,
    ...(sample && constraint !== undefined
      ? planMasks(sequence, constraint, verifyMax, drafting.inGrammars)
      : {}),
  };
}

/** What may be drawn, and with a tree where: its packed tokens share masks by state. */
function planMasks(
  sequence: Sequence,
  constraint: Constraint,
  verifyMax: number,
  wantNext: boolean,
): Pick<PlanRecord, "mask" | "draft" | "wantNext"> {
  const count = verifyMax === 0 ? sequence.pendingTree.length : verifyMax;
  if (!sequence.inGeneration || count <= 1) return { mask: constraint.mask, wantNext };
  const states = new Map<GrammarState, number>();
  const masks: Uint32Array[] = [];
  const draft: DraftTree = { tokens: [], parents: [], masks: [] };
  const places = [-1];
  sequence.pendingTree.slice(0, count).forEach(({ token, parent, state }, i) => {
    const place = parent < 0 ? -1 : places[parent];
    places[i] = -1;
    if (parent >= 0 && place < 0) return;
    let at = states.get(state);
    if (at === undefined) {
      const mask = masks.length < MASKS_MAX ? constraint.maskOf(state) : undefined;
      if (mask === undefined || mask.every((word) => word === 0)) return;
      states.set(state, at = masks.push(mask) - 1);
    }
    places[i] = draft.tokens.push(token) - 1;
    draft.parents.push(place);
    draft.masks.push(at);
  });
  const words = masks[0].length;
  const mask = new Uint32Array(masks.length * words);
  masks.forEach((own, i) => mask.set(own, i * words));
  return { mask, draft, wantNext };
}
