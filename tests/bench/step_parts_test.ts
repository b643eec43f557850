import assert from "node:assert/strict";
import { addTime, NO_TIME, type RunTime, stepParts } from "../../bench/step_parts.ts";
import { NO_MICROS } from "../../gpu-node/step_plan.ts";

const run: RunTime = {
  steps: 10,
  wholeMicros: 1000,
  micros: { step: 900, target: 500, logits: 200, sample: 20, draft: 150, head: 120 },
};

Deno.test("stepParts() tells products and attention from all else", () => {
  const { step_micros, overhead_share } = stepParts(run);
  assert.deepEqual(step_micros, {
    target: 50,
    logits: 20,
    head: 12,
    outside: 10,
    sample: 2,
    search: 3,
    rest: 3,
  });
  assert.equal(overhead_share, 0.18);
  assert.deepEqual(stepParts(addTime(run, run)), stepParts(run));
  assert.deepEqual(addTime(run, NO_TIME), run);
});

Deno.test("stepParts() of an engine that tells no parts knows what is outside", () => {
  const { step_micros, overhead_share } = stepParts({
    ...run,
    micros: { ...NO_MICROS, step: 900 },
  });
  assert.deepEqual(step_micros, { step: 90, outside: 10 });
  assert.equal(overhead_share, 0.1);
});
