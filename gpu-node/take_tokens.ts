/** Applies one result record to its sequence. Pure. @module */

import assert from "node:assert/strict";
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
  assert.equal(sequence.slot, result.slot, "the result is this sequence's");
  sequence.resetNeeded = false;
  sequence.pagesSent = planned.pageStart + planned.pages.length;
  const outcome: StepOutcome = { isFirst: planned.sample && sequence.firstTokenAt === undefined };
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
