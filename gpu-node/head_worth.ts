/** Whether the draft head pays for a sequence: what its trees gained against what they cost, the
 * head's own time included, beside what trees of lookups alone did. Pure.
 *
 * Chances and costs of rows are weighed tree by tree (`draft_budget.ts`), once the head has run;
 * whether it should run at all is known only from how its guesses fared. Never changes output.
 * @module */

import { GAIN_MIN } from "./draft_budget.ts";
import type { StepCost } from "./step_cost.ts";
import type { PlannedSequence } from "./step_planner.ts";
import type { StepResult } from "./step_plan.ts";

/** What a step brought over a plain one: the time of the tokens gained, and of rows and head. */
export interface StepGain {
  /** Drafted tokens that were accepted, or were to be expected to be. */
  gainedCount: number;
  /** Time of a plain step of all sequences and the part of it that is one token's. */
  plainMicros: number;
  tokenMicros: number;
  /** Time of this sequence's drafted rows, and of the head's run for its tree. */
  rowMicros: number;
  headMicros: number;
}

/** Weight of the newest step: about as many steps as a change of topic takes. */
const STEP_WEIGHT = 0.03;
/** Weight of a step in what the node's next sequences start from. */
const START_WEIGHT = 0.005;
/** Steps with the head before it is judged, and when it is tried again. */
const TRIAL_STEPS = 6;
/** Steps without it before it is tried again: doubled each time that it does not pay. */
const REST_STEPS_MIN = 16;
const REST_STEPS_MAX = 128;

/** Averages that sequences start from, of all sequences of one kind on this node. */
export class WorthStart {
  /** Optimistic: a head is there to be used. */
  withHead = 0.1;
  without = 0;
}

export class HeadWorth {
  readonly #start: WorthStart;
  #withHead: number;
  #without: number;
  /** Steps left of a trial, or of a rest. */
  #left: number;
  #restSteps = REST_STEPS_MIN;
  #runs: boolean;

  constructor(start: WorthStart) {
    this.#start = start;
    this.#withHead = start.withHead;
    this.#without = start.without;
    this.#runs = this.#pays;
    this.#left = this.#runs ? TRIAL_STEPS : REST_STEPS_MIN;
  }

  /** Whether the head shall run for the next tree. */
  get runs(): boolean {
    return this.#runs;
  }

  get #pays(): boolean {
    return this.#withHead >= this.#without;
  }

  /** A tree was walked: one that the head had a part in, or one of lookups alone. */
  observe(withHead: boolean, gain: StepGain): void {
    const { gainedCount, plainMicros, tokenMicros, rowMicros, headMicros } = gain;
    const asked = withHead ? GAIN_MIN * tokenMicros : 0;
    const worth = (gainedCount * tokenMicros - rowMicros - headMicros - asked) / plainMicros;
    if (!Number.isFinite(worth)) return;
    if (withHead) {
      this.#withHead += STEP_WEIGHT * (worth - this.#withHead);
      this.#start.withHead += START_WEIGHT * (worth - this.#start.withHead);
    } else {
      this.#without += STEP_WEIGHT * (worth - this.#without);
      this.#start.without += START_WEIGHT * (worth - this.#start.without);
    }
    this.#decide();
  }

  #decide(): void {
    if (--this.#left > 0) return;
    if (!this.#runs) {
      this.#runs = true;
      this.#left = TRIAL_STEPS;
    } else if (this.#pays) {
      this.#left = 1;
      this.#restSteps = REST_STEPS_MIN;
    } else {
      this.#runs = false;
      this.#left = this.#restSteps;
      this.#restSteps = Math.min(REST_STEPS_MAX, 2 * this.#restSteps);
    }
  }
}

/** Tells the sequences of a step what their trees brought, and notes what their next ones cost. */
export function weighStep(
  planned: readonly PlannedSequence[],
  result: StepResult,
  costs: StepCost,
): void {
  const count = planned.length;
  const plainMicros = costs.micros(count);
  const rowMicros = (costs.micros(result.rowCount) - plainMicros) /
    Math.max(1, result.rowCount - count);
  // Context rows beside them hide what the trees cost.
  const isPure = planned.every(({ record }) => record.tokenCount === 0);
  const headCount = planned.filter(({ record }) => record.budget.beamWidth > 0).length;
  planned.forEach(({ sequence, record }, i) => {
    const { draftedCount, acceptedCount } = result.records[i];
    // What was to be expected varies less than what came, and follows it as rates are learnt.
    let expected = 0;
    for (const logprob of sequence.pendingLogprobs.subarray(1, 1 + draftedCount)) {
      expected += Math.exp(logprob);
    }
    if (isPure) {
      sequence.headWorth.observe(sequence.headMicros !== undefined, {
        gainedCount: (expected + acceptedCount) / 2,
        plainMicros,
        tokenMicros: plainMicros / count,
        rowMicros: draftedCount * rowMicros,
        headMicros: sequence.headMicros ?? 0,
      });
    }
    sequence.headMicros = record.budget.beamWidth > 0 ? result.micros.draft / headCount : undefined;
  });
}
