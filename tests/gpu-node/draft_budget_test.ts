import assert from "node:assert/strict";
import fc from "fast-check";
import { type BudgetState, chooseBudget, parseBudget } from "../../gpu-node/draft_budget.ts";
import { NO_BUDGET } from "../../gpu-node/step_plan.ts";

const ROOM: BudgetState = {
  wanted: { beamWidth: 4, beamLength: 5, packedMax: 12 },
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
    }),
    remainingCount: fc.integer({ min: 1, max: 40 }),
    contextRoom: fc.integer({ min: 1, max: 40 }),
    pendingDraftLength: fc.nat(15),
    rowShare: fc.integer({ min: 1, max: 64 }),
  });
  fc.assert(fc.property(states, (state) => {
    const { beamWidth, beamLength, packedMax } = chooseBudget(state);
    assert(packedMax <= state.rowShare && packedMax <= state.wanted.packedMax);
    assert(beamWidth <= state.wanted.beamWidth && beamLength <= state.wanted.beamLength);
    if (beamLength === 0) return;
    assert(beamLength >= 2 && packedMax >= 2 && beamWidth >= 1);
    assert(state.pendingDraftLength + 1 + (beamLength - 1) <= state.contextRoom);
    assert(1 + (beamLength - 1) + 1 <= state.remainingCount);
  }));
});

Deno.test("parseBudget() reads W,L,N and off, and says what is wrong", () => {
  assert.deepEqual(parseBudget("off"), NO_BUDGET);
  assert.deepEqual(parseBudget("4,5,12"), { beamWidth: 4, beamLength: 5, packedMax: 12 });
  assert.throws(() => parseBudget("4,5"), /neither "off" nor "W,L,N"/);
  assert.throws(() => parseBudget("33,5,12"), /beam width 33/);
  assert.throws(() => parseBudget("4,17,12"), /beam length 17/);
  assert.throws(() => parseBudget("4,5,65"), /packed tokens 65/);
});
