import assert from "node:assert/strict";
import { Deadlines } from "../../gateway/deadlines.ts";

const late = () => new Error("late");

Deno.test("Deadlines pass on what comes in time and give up what does not", async () => {
  let now = 0;
  const deadlines = new Deadlines(() => now);
  try {
    assert.equal(await deadlines.bound(Promise.resolve(7), 100, late), 7);
    await assert.rejects(deadlines.bound(Promise.reject(new Error("own")), 100, late), /own/);
    const slow = Promise.withResolvers<number>();
    const inTime = deadlines.bound(slow.promise, 10_000, late);
    const never = deadlines.bound(new Promise(() => {}), 100, late);
    now = 200;
    await assert.rejects(never, /late/);
    slow.resolve(8);
    assert.equal(await inTime, 8);
  } finally {
    deadlines.close();
  }
});
