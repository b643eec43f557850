import assert from "node:assert/strict";
import fc from "fast-check";
import {
  budgetAt,
  type BudgetState,
  chooseBudget,
  chooseVerified,
  GAIN_MIN,
  parseBudget,
  payingChance,
} from "../../gpu-node/draft_budget.ts";
import { StepCost } from "../../gpu-node/step_cost.ts";
import { NO_BUDGET } from "../../gpu-node/step_plan.ts";

const ROOM: BudgetState = {
  wanted: { beamWidth: 4, beamLength: 5, packedMax: 12, pathMax: 9 },
  remainingCount: 100,
  contextRoom: 100,
  pendingDraftLength: 0,
  rowShare: 64,
};

Deno.test("chooseBudget() gives what is wanted where there is room", () => {
  assert.deepEqual(chooseBudget(ROOM), ROOM.wanted);
});

Deno.test("chooseBudget() drafts nothing that could never be accepted", async (t) => {
  const cases: [string, Partial<BudgetState>, number][] = [
    ["three tokens remain", { remainingCount: 3 }, 2],
    ["two tokens remain", { remainingCount: 2 }, 0],
    ["the context ends", { contextRoom: 3 }, 3],
    ["the context ends within this step", { contextRoom: 3, pendingDraftLength: 2 }, 0],
    ["one row is left", { rowShare: 1 }, 0],
    ["off", { wanted: NO_BUDGET }, 0],
    ["length one", { wanted: { beamWidth: 4, beamLength: 1, packedMax: 12 } }, 0],
    ["lookups alone", { wanted: { beamWidth: 0, beamLength: 0, packedMax: 9, pathMax: 9 } }, 0],
  ];
  for (const [name, changes, beamLength] of cases) {
    await t.step(name, () => {
      assert.equal(chooseBudget({ ...ROOM, ...changes }).beamLength, beamLength);
    });
  }
});

Deno.test("chooseBudget() stays in all its bounds", () => {
  const states = fc.record({
    wanted: fc.record({
      beamWidth: fc.nat(32),
      beamLength: fc.nat(16),
      packedMax: fc.nat(64),
      pathMax: fc.nat(16),
    }),
    remainingCount: fc.integer({ min: 1, max: 40 }),
    contextRoom: fc.integer({ min: 1, max: 40 }),
    pendingDraftLength: fc.nat(15),
    rowShare: fc.integer({ min: 1, max: 64 }),
  });
  fc.assert(fc.property(states, (state) => {
    const { beamWidth, beamLength, packedMax, pathMax = 0 } = chooseBudget(state);
    assert(packedMax <= state.rowShare && packedMax <= state.wanted.packedMax);
    assert(beamWidth <= state.wanted.beamWidth && beamLength <= state.wanted.beamLength);
    assert(pathMax <= state.wanted.pathMax);
    const draftLength = Math.max(beamLength, pathMax) - 1;
    if (draftLength < 1) return assert.equal(packedMax, 0);
    assert(packedMax >= 2 && (beamLength === 0 || (beamLength >= 2 && beamWidth >= 1)));
    assert(state.pendingDraftLength + 1 + draftLength <= state.contextRoom);
    assert(1 + draftLength + 1 <= state.remainingCount);
  }));
});

Deno.test("chooseBudget() lets lookups go on where the head's levels end", () => {
  const { wanted } = ROOM;
  assert.deepEqual(chooseBudget({ ...ROOM, remainingCount: 8 }), { ...wanted, pathMax: 7 });
  const noHead = { beamWidth: 0, beamLength: 0, packedMax: 12, pathMax: 9 };
  assert.deepEqual(chooseBudget({ ...ROOM, wanted: noHead }), noHead);
});

/** Rows beyond the first that cost this share of it each. */
const costsOf = (share: number) => new StepCost(new Map([[1, 1000], [2, 1000 * (1 + share)]]));

Deno.test("payingChance() grows with the load", () => {
  const costs = new StepCost(new Map([[1, 5000], [8, 6000], [16, 10_000], [32, 20_000]]));
  const chances = [1, 8, 16, 32].map((count) => payingChance(costs, count));
  assert(chances[0] < 0.05 && chances[1] > chances[0] && chances[2] > 0.8);
  assert(Math.abs(chances[3] - 1) < 0.01, "where rows cost as much as sequences, none pays");
});

Deno.test("budgetAt() shrinks as rows become dear, and leaves lookups alone at last", () => {
  const ceiling = { beamWidth: 4, beamLength: 6, packedMax: 16, pathMax: 16 };
  const { chanceMin: least, ...cheap } = budgetAt(ceiling, 0.01);
  assert.deepEqual(cheap, ceiling);
  const { chanceMin: most, ...dear } = budgetAt(ceiling, 0.99);
  assert.deepEqual(dear, { ...ceiling, beamWidth: 0, beamLength: 0 });
  assert(least! > 0 && least! < 0.01 && most! > 0.5 && most! < 0.99);
  assert(budgetAt(ceiling, 9).chanceMin! <= 1, "the engine takes a chance alone");
  let last = ceiling;
  for (let chance = 0; chance <= 1; chance += 0.01) {
    const budget = budgetAt(ceiling, chance);
    assert(budget.beamWidth <= last.beamWidth && budget.beamLength <= last.beamLength);
    last = { ...ceiling, ...budget };
  }
});

const tree = (...chances: number[]) => Float32Array.from([1, ...chances], Math.log);

Deno.test("chooseVerified() takes what pays and no more", () => {
  // With rows at a tenth of a step a second token is worth its row from a chance of 0.1 up.
  const trees = [tree(0.9, 0.6, 0.3, 0.05, 0.04)];
  assert.deepEqual(chooseVerified(trees, 0, 64, costsOf(0.1)), [4]);
  assert.deepEqual(chooseVerified(trees, 0, 64, costsOf(0.001)), [6]);
  assert.deepEqual(chooseVerified(trees, 0, 64, costsOf(1)), [1]);
  assert.deepEqual(chooseVerified(trees, 0, 3, costsOf(0.1)), [3], "no more than there are rows");
});

Deno.test("chooseVerified() fills a tile that is paid for, across sequences", () => {
  // Rows 5 to 8 are free: the step costs the same.
  const costs = new StepCost(new Map([[1, 1000], [4, 1000], [5, 1300], [8, 1300], [9, 4000]]));
  const trees = [tree(0.5, 0.4, 0.3), tree(0.9, 0.8, 0.7)];
  assert.deepEqual(chooseVerified(trees, 0, 64, costs), [4, 4]);
  assert.deepEqual(chooseVerified(trees, 2, 64, costs), [2, 4]);
});

Deno.test("chooseVerified() is the best of all choices, or plain where that gains little", () => {
  const chance = fc.double({ min: 0.03, max: 1, noNaN: true });
  const trees = fc.array(fc.array(chance, { maxLength: 5 }), { minLength: 1, maxLength: 3 });
  const steps = fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 16, maxLength: 16 });
  fc.assert(fc.property(trees, steps, (chances, increments) => {
    let micros = 1000;
    const measured = increments.map((step, i) => [i + 1, micros += step] as [number, number]);
    const costs = new StepCost(new Map(measured));
    const sorted = chances.map((list) => list.map(Math.fround).sort((a, b) => b - a));
    const rateOf = (counts: number[]) => {
      const gain = counts.reduce((sum, count, i) => {
        return sum + 1 + sorted[i].slice(0, count - 1).reduce((a, b) => a + b, 0);
      }, 0);
      return gain / costs.micros(counts.reduce((a, b) => a + b));
    };
    let best = 0;
    const search = (counts: number[]): void => {
      if (counts.length === sorted.length) return void (best = Math.max(best, rateOf(counts)));
      const most = sorted[counts.length].length + 1;
      for (let count = 1; count <= most; count++) search([...counts, count]);
    };
    search([]);
    const counts = chooseVerified(sorted.map((list) => tree(...list)), 0, 64, costs);
    const plain = sorted.map(() => 1);
    if (best > rateOf(plain) * (1 + GAIN_MIN)) assert(rateOf(counts) >= best * (1 - 1e-5));
    else assert.deepEqual(counts, plain);
  }));
});

Deno.test("parseBudget() reads W,L,N and off, and says what is wrong", () => {
  assert.deepEqual(parseBudget("off"), NO_BUDGET);
  const budget = { beamWidth: 4, beamLength: 5, packedMax: 12, pathMax: 16 };
  assert.deepEqual(parseBudget("4,5,12"), budget);
  assert.deepEqual(parseBudget("4,5,12,7"), { ...budget, pathMax: 7 });
  assert.throws(() => parseBudget("4,5"), /neither "off" nor "W,L,N" nor "W,L,N,P"/);
  assert.throws(() => parseBudget("33,5,12"), /beam width 33/);
  assert.throws(() => parseBudget("4,17,12"), /beam length 17/);
  assert.throws(() => parseBudget("4,5,65"), /packed tokens 65/);
  assert.throws(() => parseBudget("4,5,6,17"), /path 17/);
});
