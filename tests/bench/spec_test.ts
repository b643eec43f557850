import assert from "node:assert/strict";
import { type Pair, specReport } from "../../bench/spec.ts";
import { seededRandom } from "../../bench/stats.ts";
import { NO_TIME } from "../../bench/step_parts.ts";

function pair(more: Partial<Pair> = {}): Pair {
  return {
    category: "qa",
    drawn: 100,
    plainSeconds: 2,
    specSeconds: 1,
    steps: 40,
    acceptedByDepth: [30, 20, 10],
    draftedSteps: 39,
    looping: false,
    differing: 0,
    specTime: NO_TIME,
    ...more,
  };
}

Deno.test("specReport() takes a prompt's rate over all its turns", () => {
  const report = specReport([[pair(), pair({ plainSeconds: 4 })]], seededRandom(1));
  assert.equal(report.prompts, 1);
  assert.equal(report.plain_tokens_per_second, 33.33);
  assert.equal(report.spec_tokens_per_second, 100);
  assert.equal(report.speedup, 3);
  assert.equal(report.speedup_of_totals, 3);
  assert.equal(report.tokens_per_step, 2.5);
  assert.deepEqual(report.accepted_by_depth, [0.7692, 0.5128, 0.2564]);
});

Deno.test("specReport() weighs prompts alike, and totals by their time", () => {
  const slow = pair({ category: "rag", plainSeconds: 20, specSeconds: 20, looping: true });
  const report = specReport([[pair()], [slow]], seededRandom(1));
  assert.equal(report.speedup, 1.909);
  assert.equal(report.speedup_of_totals, 1.048);
  assert.equal(report.by_category.qa.speedup, 2);
  assert.equal(report.by_category.rag.speedup, 1);
  assert.equal(report.looping_share, 0.5);
  assert.ok(report.speedup_low <= report.speedup && report.speedup <= report.speedup_high);
});

Deno.test("specReport() of plain decoding is one token a step", () => {
  const plain = pair({ steps: 100, acceptedByDepth: [], draftedSteps: 0, specSeconds: 2 });
  const report = specReport([[plain]], seededRandom(1));
  assert.equal(report.tokens_per_step, 1);
  assert.equal(report.speedup, 1);
  assert.deepEqual(report.accepted_by_depth, []);
});
