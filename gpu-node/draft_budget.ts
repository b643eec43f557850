/** How much each sequence drafts and how much of that is verified: what gives the most tokens a
 * second by the measured cost of a step and the chance of each packed token. Never changes output.
 * Pure.
 * @module */

import { ABI } from "./abi.ts";
import type { DraftBudget } from "./engine.ts";
import type { StepCost } from "./step_cost.ts";
import { NO_BUDGET } from "./step_plan.ts";

/** The most that a node drafts unless told otherwise; load and measured cost take from it. */
export const BUDGET_CEILING: DraftBudget = {
  beamWidth: 4,
  beamLength: 5,
  packedMax: 16,
  pathMax: ABI.beamLengthMax,
};

/** A further row that needs a better chance than this to pay gets no head: its best guess is right
 * about as often. Lookups go on, for what they are sure of. */
const HEAD_CHANCE_MAX = 0.55;
/** How often the head's best path goes on by one more token. */
const HEAD_STEP_CHANCE = 0.6;
/** Paths below this share of the paying chance are not followed; what they lead to is less likely
 * still. Not all of it, since the paying chance of the next step is not quite this one's. */
const FOLLOWED_SHARE = 0.7;
/** Rows beyond those that run plain at which a tree is looked for that pays. */
const ROWS_AHEAD = 16;

/** The chance of acceptance that the cheapest further rows need, with `count` sequences running:
 * below it they cost more time than they may save. */
export function payingChance(costs: StepCost, count: number): number {
  const plain = costs.micros(count);
  let each = Infinity;
  for (let rows = 1; rows <= ROWS_AHEAD; rows++) {
    each = Math.min(each, (costs.micros(count + rows) - plain) / rows);
  }
  return each * count / plain;
}

/** What is left of `ceiling` when a row pays from `chance` up. */
export function budgetAt(ceiling: DraftBudget, chance: number): DraftBudget {
  const chanceMin = Math.min(1, Math.max(0, FOLLOWED_SHARE * chance));
  if (chance > HEAD_CHANCE_MAX) return { ...ceiling, beamWidth: 0, beamLength: 0, chanceMin };
  // The head's levels go on as long as its best path would still pay.
  const levels = Math.max(
    1,
    Math.floor(Math.log(Math.max(chance, 1e-3)) / Math.log(HEAD_STEP_CHANCE)),
  );
  // Beside the best path there is little of use where only good chances pay.
  const width = chance > 0.3 ? 1 : chance > 0.15 ? 2 : ceiling.beamWidth;
  return {
    ...ceiling,
    beamWidth: Math.min(ceiling.beamWidth, width),
    beamLength: Math.min(ceiling.beamLength, 1 + levels),
    chanceMin,
  };
}

export interface BudgetState {
  /** The request's own, else what the load leaves of the node's. */
  wanted: DraftBudget;
  /** Tokens that the sequence may still gain, before this step. */
  remainingCount: number;
  /** Tokens after which the context ends, before this step. */
  contextRoom: number;
  /** The deepest that the tree verified in this step can be. */
  pendingDraftLength: number;
  /** Rows that the next step has for this sequence. */
  rowShare: number;
}

/** The budget of the next tree: what `wanted` asks for and this sequence can still use. */
export function chooseBudget(state: BudgetState): DraftBudget {
  const { wanted } = state;
  // This step gains one token at least and the next one's last token is its bonus token: a path
  // longer than what then remains could never be accepted whole.
  const useful = state.remainingCount - 2;
  // This step gains `pendingDraftLength + 1` tokens at most. KV rows past the context do not exist.
  const fitting = state.contextRoom - state.pendingDraftLength - 1;
  const pathMax = 1 + Math.max(0, Math.min(useful, fitting));
  const packedMax = Math.min(wanted.packedMax, state.rowShare);
  const beamLength = Math.min(wanted.beamLength, pathMax);
  const lookupMax = Math.min(wanted.pathMax ?? 0, pathMax);
  const runsHead = wanted.beamWidth >= 1 && beamLength >= 2;
  if (packedMax < 2 || (!runsHead && lookupMax < 2)) return NO_BUDGET;
  return {
    beamWidth: runsHead ? wanted.beamWidth : 0,
    beamLength: runsHead ? beamLength : 0,
    packedMax,
    ...(wanted.pathMax === undefined ? {} : { pathMax: lookupMax }),
    ...(wanted.chanceMin === undefined ? {} : { chanceMin: wanted.chanceMin }),
  };
}

/** The least gain over a plain step that is worth a tree, or the head's run for one: costs and
 * chances are estimates, and what is in none of them (longer plans, colder caches) costs too. */
export const GAIN_MIN = 0.02;

/** Packed tokens below this chance are not looked at: no row is that cheap. */
const CHANCE_MIN = 0.02;

/** How many packed tokens of each pending tree to verify, root included, so that the step gains the
 * most tokens for its time.
 * @param trees Per sequence the log-probabilities of its pending tree, falling, the root's 0 first.
 * @param rowsTaken Rows that the step has anyway.
 * @param rowsMax Rows that the step may have, at least `rowsTaken + trees.length`.
 * @returns One count per tree, at least 1 each. */
export function chooseVerified(
  trees: readonly Float32Array[],
  rowsTaken: number,
  rowsMax: number,
  costs: StepCost,
): number[] {
  const chances = likeliest(trees, Math.max(0, rowsMax - rowsTaken - trees.length));
  let rows = rowsTaken + trees.length;
  let gain = trees.length;
  let bestRate = (1 + GAIN_MIN) * gain / costs.micros(rows);
  let taken = 0;
  for (let i = 0; i < chances.length; i++) {
    gain += chances[i];
    const rate = gain / costs.micros(++rows);
    if (rate <= bestRate) continue;
    bestRate = rate;
    taken = i + 1;
  }
  return taken === 0 ? trees.map(() => 1) : countTaken(trees, chances, taken);
}

/** The chances of all packed tokens that are worth a look, roots aside, falling; `count` of them at
 * most. */
function likeliest(trees: readonly Float32Array[], count: number): Float64Array {
  const chances: number[] = [];
  for (const logprobs of trees) {
    for (let i = 1; i < logprobs.length; i++) {
      const chance = Math.exp(logprobs[i]);
      if (chance < CHANCE_MIN) break;
      chances.push(chance);
    }
  }
  return Float64Array.from(chances).sort().reverse().subarray(0, count);
}

/** How many of each tree are among the `taken` likeliest. Chances fall along a tree, so it is its
 * best that is taken, parents before children. */
function countTaken(
  trees: readonly Float32Array[],
  chances: Float64Array,
  taken: number,
): number[] {
  const least = chances[taken - 1];
  let tiesLeft = taken - chances.findIndex((chance) => chance === least);
  return trees.map((logprobs) => {
    let count = 1;
    for (; count < logprobs.length; count++) {
      const chance = Math.exp(logprobs[count]);
      if (chance < least || (chance === least && tiesLeft-- <= 0)) break;
    }
    return count;
  });
}

/** Reads "off" or "W,L,N[,P]": beam width, beam length (init token included), packed tokens, and
 * the longest path with lookups (16 unless given).
 * @throws {RangeError} That says what is wrong; the caller names the flag. */
export function parseBudget(text: string): DraftBudget {
  if (text === "off") return NO_BUDGET;
  const match = /^(\d{1,3}),(\d{1,3}),(\d{1,3})(?:,(\d{1,3}))?$/.exec(text);
  if (match === null) throw new RangeError(`is "${text}", neither "off" nor "W,L,N" nor "W,L,N,P"`);
  const [beamWidth, beamLength, packedMax] = match.slice(1, 4).map(Number);
  const pathMax = match[4] === undefined ? ABI.beamLengthMax : Number(match[4]);
  const budget = { beamWidth, beamLength, packedMax, pathMax };
  const problem = budgetProblem(budget);
  if (problem !== undefined) throw new RangeError(problem);
  return budget;
}

/** What the engine would refuse in `budget`, in words; `undefined` if nothing. */
export function budgetProblem(budget: DraftBudget): string | undefined {
  for (
    const [name, value, max] of [
      ["beam width", budget.beamWidth, ABI.beamWidthMax],
      ["beam length", budget.beamLength, ABI.beamLengthMax],
      ["packed tokens", budget.packedMax, ABI.treeTokensMax],
      ["path", budget.pathMax ?? 0, ABI.beamLengthMax],
    ] as const
  ) {
    if (Number.isInteger(value) && value >= 0 && value <= max) continue;
    return `has ${name} ${value}, not an integer in [0, ${max}]`;
  }
  return undefined;
}
