/** Where the time of a run of one sequence went, by the parts that an engine tells of its steps.
 * Pure. @module */
import type { EngineCounters } from "../gpu-node/engine.ts";
import { NO_MICROS, splitMicros, STEP_PARTS, type StepMicros } from "../gpu-node/step_plan.ts";
import { round4 } from "./stats.ts";

/** Sums over a run. */
export interface RunTime {
  steps: number;
  /** All of it, by the clock of whoever asked. */
  wholeMicros: number;
  micros: StepMicros;
}

export const NO_TIME: RunTime = { steps: 0, wholeMicros: 0, micros: NO_MICROS };

function combine(a: StepMicros, b: StepMicros, sign: 1 | -1): StepMicros {
  const sums = { ...a };
  for (const part of STEP_PARTS) sums[part] += sign * b[part];
  return sums;
}

/** What an engine did between two looks at its counters. */
export function timeBetween(
  before: EngineCounters,
  after: EngineCounters,
  seconds: number,
): RunTime {
  return {
    steps: after.stepCount - before.stepCount,
    wholeMicros: seconds * 1e6,
    micros: combine(after.micros, before.micros, -1),
  };
}

export function addTime(a: RunTime, b: RunTime): RunTime {
  return {
    steps: a.steps + b.steps,
    wholeMicros: a.wholeMicros + b.wholeMicros,
    micros: combine(a.micros, b.micros, 1),
  };
}

/** Microseconds a step, by `splitMicros`'s parts and `outside`: planning, codec, FFI and delivery,
 * while the engine is in no step. All but the target's layers, its logits and the draft head are
 * `overhead_share`. Of an engine that tells no parts, `outside` alone is known. */
export function stepParts({ steps, wholeMicros, micros }: RunTime) {
  const { target, logits, head, ...inside } = splitMicros(micros);
  const tellsParts = target > 0;
  const outside = Math.max(0, wholeMicros - micros.step);
  const overhead = { outside, ...(tellsParts && inside) };
  const work = tellsParts ? { target, logits, head } : { step: micros.step };
  const parts = Object.entries({ ...work, ...overhead });
  const share = Object.values(overhead).reduce((sum, part) => sum + part, 0) / wholeMicros;
  return {
    step_micros: Object.fromEntries(parts.map(([name, sum]) => [name, round4(sum / steps)])),
    overhead_share: round4(share),
  };
}
