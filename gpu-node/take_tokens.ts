/** Applies one result record to its sequence. Pure. @module */

import { assertEqual } from "../proto/assert.ts";
import { ABI } from "./abi.ts";
import { treeDepth } from "./constrained_tree.ts";
import type { SequenceStep } from "./engine.ts";
import type { Sequence } from "./sequence.ts";
import type { PlanRecord, ResultRecord } from "./step_plan.ts";

export interface StepOutcome {
  /** `undefined` in the context phase, which draws no token. */
  step?: SequenceStep;
  /** It drew its first token. */
  isFirst: boolean;
  end?: "stop" | "length";
  stopToken?: number;
}

/** Takes the tokens of a step up to the first that ends the sequence: a stop token or the length
 * limit inside an accepted run truncates there, as if the rest had never been drafted. */
export function takeTokens(
  sequence: Sequence,
  planned: PlanRecord,
  result: ResultRecord,
  now: number,
): StepOutcome {
  assertEqual(sequence.slot, result.slot, "the result is this sequence's");
  sequence.resetNeeded = false;
  sequence.pagesSent = planned.pageStart + planned.pages.length;
  const outcome: StepOutcome = { isFirst: planned.sample && sequence.firstTokenAt === undefined };
  const { constraint } = sequence;
  const verified = sequence.pendingTree.slice(0, planned.draft?.tokens.length ?? 0);
  constraint?.learn(verified, result.tokens);
  let taken = 0;
  for (const token of result.tokens) {
    if (sequence.request.stopTokens.has(token)) {
      outcome.end = "stop";
      outcome.stopToken = token;
      break;
    }
    sequence.push(token);
    taken++;
    if (sequence.remainingCount > 0) continue;
    outcome.end = "length";
    break;
  }
  // Past its end a sequence computes nothing, so its counts need not hold.
  sequence.computedCount = Math.min(result.computedCount, sequence.knownCount - 1);
  sequence.pendingLogprobs = result.pendingLogprobs;
  sequence.pendingDraftLength = result.draftLength;
  if (outcome.end === undefined) plantTree(sequence, planned, result);
  if (!planned.sample) return outcome;
  sequence.firstTokenAt ??= now;
  const acceptedCount = Math.min(result.acceptedCount, taken);
  sequence.stepCount++;
  sequence.draftedCount += result.draftedCount;
  sequence.acceptedCount += acceptedCount;
  outcome.step = {
    tokens: result.tokens.slice(0, taken),
    logprobs: result.logprobs.slice(0, taken),
    draftedCount: result.draftedCount,
    acceptedCount,
    tree: result.tree,
  };
  return outcome;
}

/** What was drafted for a constrained sequence becomes the tree that its grammar allows. */
function plantTree(sequence: Sequence, planned: PlanRecord, result: ResultRecord): void {
  const { constraint } = sequence;
  if (constraint === undefined || result.next === undefined) return;
  const next = { ...result.next, logprobs: result.pendingLogprobs };
  // A path longer than what remains could never be accepted whole.
  const depthMax = Math.min(ABI.beamLengthMax, sequence.remainingCount) - 1;
  const tree = constraint.tree(next, planned.budget.packedMax, depthMax);
  if (tree.length === 0) return; // The answer cannot go on, which the scheduler finds.
  sequence.pendingTree = tree;
  sequence.pendingLogprobs = Float32Array.from(tree, ({ logprob }) => logprob);
  sequence.pendingDraftLength = treeDepth(tree);
}
