/** No class of the attack list is without a test of its name. */
import assert from "node:assert/strict";
import { ATTACK_CLASSES } from "./classes.ts";

Deno.test("each of the 28 classes has its test", async () => {
  const numbers = Object.keys(ATTACK_CLASSES).map(Number);
  assert.deepEqual(numbers, Array.from({ length: 28 }, (_, i) => i + 1));
  const tested: number[] = [];
  for await (const { name } of Deno.readDir(new URL(".", import.meta.url))) {
    if (!name.endsWith("_test.ts")) continue;
    const text = await Deno.readTextFile(new URL(name, import.meta.url));
    for (const [, number] of text.matchAll(/^attack\((\d+), async/gm)) tested.push(Number(number));
  }
  assert.deepEqual(tested.sort((a, b) => a - b), numbers);
});
