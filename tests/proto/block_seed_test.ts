import assert from "node:assert/strict";
import { blockSeed } from "../../proto/block_seed.ts";

Deno.test("blockSeed() keeps models and salts apart", () => {
  const text = (model: string, salt: string) => new TextDecoder().decode(blockSeed(model, salt));
  assert.equal(text("ab", "c"), "ab\nc");
  assert.notEqual(text("ab", "c"), text("a", "bc"));
  assert.notEqual(text("ab", ""), text("ab", "c"));
});
