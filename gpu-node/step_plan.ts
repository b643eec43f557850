/** What goes into a step and what comes out, as records. redraft.h says the same in words of
 * memory; `step_codec.ts` is between. Pure types. @module */

import type { Sampling } from "../proto/sampling.ts";
import type { DraftBudget, PackedToken, TokenLogprobs } from "./engine.ts";

export interface PlanRecord {
  slot: number;
  /** Set when the slot starts afresh: how the sequence draws, and where its own tokens begin. */
  reset?: { sampling: Sampling; promptCount: number };
  /** The step draws a token: always in the generation phase, else at the end of the context. */
  sample: boolean;
  wantTree: boolean;
  /** KV rows that the slot holds before the step. */
  computedCount: number;
  /** Context tokens of this step; 0 in the generation phase. */
  tokenCount: number;
  /** The context tokens, after those already computed where the slot starts afresh. */
  tokens: Uint32Array;
  /** Where in the page table `pages` go. */
  pageStart: number;
  pages: readonly number[];
  /** Of the next tree. */
  budget: DraftBudget;
  /** Packed tokens of the pending tree to verify; 0 = all. */
  verifyMax: number;
  /** As in the sampling options that the slot started with. */
  logprobs: number;
  /** Shape `[maskCount, ceil(vocabSize / 32)]`: the tokens that may be drawn. One without a draft,
   * of the one token that the step draws. */
  mask?: Uint32Array;
  /** The tree to verify instead of the engine's own. */
  draft?: DraftTree;
  /** The result brings the next tree. */
  wantNext?: boolean;
}

/** By packed token, the pending one first; a parent comes before its children. */
export interface DraftTree {
  tokens: number[];
  parents: number[];
  /** Which mask holds for the token drawn there. */
  masks: number[];
}

/** What the engine drafted, as `DraftTree`. */
export interface NextTree {
  tokens: ArrayLike<number>;
  parents: ArrayLike<number>;
  logprobs: ArrayLike<number>;
}

export interface StepPlan {
  stepId: number;
  records: PlanRecord[];
}

export interface ResultRecord {
  slot: number;
  computedCount: number;
  /** The last is the bonus token; empty in the context phase. */
  tokens: number[];
  logprobs: TokenLogprobs[];
  draftedCount: number;
  acceptedCount: number;
  /** Of the next tree: by packed token, in falling order, the log of the chance that the path to
   * it is accepted. */
  pendingLogprobs: Float32Array;
  /** Tokens of its longest path, root not counted. */
  draftLength: number;
  /** That tree's tokens and parents, if the plan wanted them. */
  next?: { tokens: Uint32Array; parents: Int32Array };
  tree: PackedToken[];
}

/** Where a step's time went, in microseconds (redraft.h). An engine whose step is one chain of
 * launches measures `step` alone. */
export interface StepMicros {
  /** The whole call. */
  step: number;
  /** The target's layers. */
  target: number;
  logits: number;
  /** Drawing a token at each row that may, and the walk down the tree. */
  sample: number;
  /** Making the next tree. */
  draft: number;
  /** Of `draft`, the draft head; the rest is search, lookups and packing. */
  head: number;
}

export const NO_MICROS: StepMicros = {
  step: 0,
  target: 0,
  logits: 0,
  sample: 0,
  draft: 0,
  head: 0,
};

/** The same in parts that do not overlap, which make up `step`. `search`: beam search, lookups and
 * packing; `rest`: reading the plan, moving accepted rows, writing the result. */
export function splitMicros({ step, target, logits, sample, draft, head }: StepMicros) {
  const rest = Math.max(0, step - target - logits - sample - draft);
  return { target, logits, sample, head, search: draft - head, rest };
}

export const STEP_PARTS = Object.keys(NO_MICROS) as (keyof StepMicros)[];

export interface StepResult {
  stepId: number;
  rowCount: number;
  micros: StepMicros;
  /** One a plan record, in its order. */
  records: ResultRecord[];
}

export const NO_BUDGET: DraftBudget = { beamWidth: 0, beamLength: 0, packedMax: 0 };
