import assert from "node:assert/strict";
import { HeadWorth, type StepGain, WorthStart } from "../../gpu-node/head_worth.ts";

const STEP = { plainMicros: 1000, tokenMicros: 1000 };

/** Share of `steps` in which the head ran; `accepted(step)` of its tokens are taken each time. */
function shareRun(worth: HeadWorth, steps: number, accepted: (step: number) => number): number {
  let ran = 0;
  for (let step = 0; step < steps; step++) {
    const withHead = worth.runs;
    if (withHead) ran++;
    const gain: StepGain = withHead
      ? { ...STEP, gainedCount: accepted(step), rowMicros: 150, headMicros: 130 }
      : { ...STEP, gainedCount: 0, rowMicros: 0, headMicros: 0 };
    worth.observe(withHead, gain);
  }
  return ran / steps;
}

Deno.test("a head that pays runs at every step", () => {
  // 28 hundredths of a step are what its tree and it cost.
  const share = shareRun(new HeadWorth(new WorthStart()), 400, (step) => Number(step % 2 === 0));
  assert.equal(share, 1);
});

Deno.test("a head that does not pay is left out, but for rare trials", () => {
  const worth = new HeadWorth(new WorthStart());
  shareRun(worth, 100, () => 0);
  const share = shareRun(worth, 1000, () => 0);
  assert(share < 0.08 && share > 0.01, `${share}`);
});

Deno.test("a head that pays again is found again", () => {
  const worth = new HeadWorth(new WorthStart());
  shareRun(worth, 500, () => 0);
  shareRun(worth, 500, () => 2);
  assert.equal(shareRun(worth, 100, () => 2), 1);
});

Deno.test("new sequences start from what the node's others found", () => {
  const start = new WorthStart();
  for (let i = 0; i < 20; i++) shareRun(new HeadWorth(start), 200, () => 0);
  assert.equal(new HeadWorth(start).runs, false);
  // Trials go on, so it is found when that changes.
  for (let i = 0; i < 60; i++) shareRun(new HeadWorth(start), 200, () => 2);
  assert.equal(new HeadWorth(start).runs, true);
});
