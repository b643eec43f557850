/** How much each sequence drafts in its next step. Pure.
 *
 * Fixed for now: the budget asked for, cut to what the sequence and the step have room for. Every
 * choice goes through `chooseBudget`, whose state is where measured step costs and the sequence's
 * acceptance will come in.
 * @module */

import { ABI } from "./abi.ts";
import type { DraftBudget } from "./engine.ts";
import { NO_BUDGET } from "./step_plan.ts";

export interface BudgetState {
  /** The request's own, else the node's. */
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
  const draftLength = Math.min(wanted.beamLength - 1, useful, fitting);
  const packedMax = Math.min(wanted.packedMax, state.rowShare);
  if (draftLength < 1 || packedMax < 2 || wanted.beamWidth < 1) return NO_BUDGET;
  return { beamWidth: wanted.beamWidth, beamLength: draftLength + 1, packedMax };
}

/** Reads "off" or "W,L,N": beam width, beam length (init token included), packed tokens.
 * @throws {RangeError} That says what is wrong; the caller names the flag. */
export function parseBudget(text: string): DraftBudget {
  if (text === "off") return NO_BUDGET;
  const match = /^(\d{1,3}),(\d{1,3}),(\d{1,3})$/.exec(text);
  if (match === null) throw new RangeError(`is "${text}", neither "off" nor "W,L,N"`);
  const [beamWidth, beamLength, packedMax] = match.slice(1).map(Number);
  const budget = { beamWidth, beamLength, packedMax };
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
    ] as const
  ) {
    if (Number.isInteger(value) && value >= 0 && value <= max) continue;
    return `has ${name} ${value}, not an integer in [0, ${max}]`;
  }
  return undefined;
}
