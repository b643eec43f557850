import assert from "node:assert/strict";
import fc from "fast-check";
import { payingChance } from "../../gpu-node/draft_budget.ts";
import { StepCost } from "../../gpu-node/step_cost.ts";

const MEASURED = new Map([[1, 5000], [8, 7000], [16, 10_000], [32, 20_000]]);

Deno.test("micros() gives what was measured, and lines between", () => {
  const costs = new StepCost(MEASURED);
  for (const [rows, micros] of MEASURED) assert.equal(costs.micros(rows), micros);
  assert.equal(costs.micros(12), 8500);
  assert(Math.abs(costs.micros(300) / costs.micros(32) - 300 / 32) < 3, "it goes on past the last");
});

Deno.test("micros() never falls with the rows, whatever is measured and observed", () => {
  const pair = fc.tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 1_000_000 }));
  fc.assert(fc.property(fc.array(pair), fc.array(pair), (measured, observed) => {
    const costs = new StepCost(new Map(measured));
    for (const [rows, micros] of observed) costs.observe(rows, micros);
    let last = 0;
    for (let rows = 1; rows <= 600; rows++) {
      const micros = costs.micros(rows);
      assert(Number.isFinite(micros) && micros > 0 && micros >= last * (1 - 1e-9));
      last = micros;
    }
  }));
});

Deno.test("observe() follows a machine that has become slower, without bending the shape", () => {
  const costs = new StepCost(MEASURED);
  for (let i = 0; i < 200; i++) costs.observe(8, 14_000);
  assert(Math.abs(costs.micros(8) / 14_000 - 1) < 0.05);
  assert(costs.micros(1) > 8000, "what was not observed has slowed with it");
});

Deno.test("a slower machine makes no rows cheaper, a faster one none dearer", () => {
  const table = new Map([[1, 3000], [2, 3420], [4, 4740], [8, 7230], [16, 13_900]]);
  const paying = payingChance(new StepCost(table), 1);
  for (const [micros, count] of [[6000, 20], [6000, 300], [1500, 300]] as const) {
    const costs = new StepCost(table);
    for (let i = 0; i < count; i++) costs.observe(1, micros);
    assert(Math.abs(costs.micros(8) / costs.micros(1) / (7230 / 3000) - 1) < 0.06);
    assert(Math.abs(payingChance(costs, 1) / paying - 1) < 0.1, `${payingChance(costs, 1)}`);
  }
});

Deno.test("observe() learns that a row count costs more than measured", () => {
  const costs = new StepCost(MEASURED);
  for (let i = 0; i < 400; i++) {
    costs.observe(8, 7000);
    costs.observe(12, 17_000);
  }
  assert(costs.micros(12) / costs.micros(8) > 1.9);
});

Deno.test("observe() gives a row count that was measured badly another chance", () => {
  const costs = new StepCost(new Map([[1, 5000], [2, 30_000], [8, 60_000]]));
  assert(payingChance(costs, 1) > 1, "nothing pays by this measurement");
  for (let i = 0; i < 20_000 && payingChance(costs, 1) > 0.2; i++) costs.observe(1, 5000);
  assert(payingChance(costs, 1) <= 0.2, "in time it is tried");
  for (let i = 0; i < 100; i++) {
    costs.observe(4, 30_000);
    costs.observe(1, 5000);
  }
  assert(costs.micros(4) > 3 * costs.micros(1), "and if it is dear indeed, that is found at once");
});

Deno.test("observe() takes little notice of one step that the machine slept through", () => {
  const costs = new StepCost(MEASURED);
  costs.observe(8, 5_000_000);
  assert(costs.micros(8) < 8100);
});
