import assert from "node:assert/strict";
import fc from "fast-check";
import { PageList } from "../../gpu-node/page_list.ts";

Deno.test("PageList keeps order as an array would", () => {
  const acts = fc.array(fc.tuple(fc.nat(2), fc.nat(7)), { maxLength: 80 });
  fc.assert(fc.property(acts, (steps) => {
    const list = new PageList(8);
    const model: number[] = [];
    for (const [act, page] of steps) {
      const at = model.indexOf(page);
      if (act === 0) assert.equal(list.shift(), model.shift());
      else if (at < 0) model.push(page), list.push(page);
      else model.splice(at, 1), list.remove(page);
      assert.deepEqual([...list], model);
      assert.equal(list.length, model.length);
    }
  }));
});

Deno.test("PageList refuses what contradicts it", () => {
  const list = new PageList(2);
  assert.throws(() => list.remove(0));
  list.push(0);
  assert.throws(() => list.push(0));
  assert.throws(() => list.push(2));
});
