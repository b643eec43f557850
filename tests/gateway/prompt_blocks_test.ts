import assert from "node:assert/strict";
import fc from "fast-check";
import { hashPromptBlocks } from "../../gateway/prompt_blocks.ts";
import { blockSeed } from "../../proto/block_seed.ts";

const SEED = blockSeed("digest", "tenant");
const tokens = fc.uint32Array({ maxLength: 200 });

Deno.test("hashPromptBlocks() gives one hash per full block", () => {
  fc.assert(fc.property(tokens, fc.integer({ min: 1, max: 40 }), (tokens, pageTokens) => {
    const hashes = hashPromptBlocks(tokens, { pageTokens, seed: SEED });
    assert.equal(hashes.length, Math.floor(tokens.length / pageTokens));
  }));
});

Deno.test("hashPromptBlocks() hashes equal prefixes equal, and none past a difference", () => {
  fc.assert(fc.property(tokens, fc.nat(), fc.nat(2 ** 32 - 2), (tokens, at, change) => {
    fc.pre(tokens.length > 0);
    const other = tokens.slice();
    const place = at % tokens.length;
    other[place] = (other[place]! + 1 + change) >>> 0;
    const hash = (tokens: Uint32Array) => hashPromptBlocks(tokens, { pageTokens: 16, seed: SEED });
    const [a, b] = [hash(tokens), hash(other)];
    a.forEach((value, block) => assert.equal(value === b[block], block < place >> 4));
  }));
});

Deno.test("hashPromptBlocks() keeps models and tenants apart", () => {
  const hash = (digest: string, salt: string) =>
    hashPromptBlocks(new Uint32Array(16), { pageTokens: 16, seed: blockSeed(digest, salt) })[0];
  const hashes = [hash("a", "x"), hash("a", "y"), hash("b", "x"), hash("b", "")];
  assert.equal(new Set(hashes).size, 4);
});

Deno.test("hashPromptBlocks() gives the same hashes in every build", () => {
  // From xxHash's own implementation: XXH3-64 of the parent and the block, each little-endian.
  const seed = new TextEncoder().encode("redraft");
  const tokens = Uint32Array.from({ length: 33 }, (_, i) => i);
  const expected = [0xd38cb5d0e5a554d3n, 0xc179cd137dc9bacan];
  assert.deepEqual([...hashPromptBlocks(tokens, { pageTokens: 16, seed })], expected);
});

Deno.test("hashPromptBlocks() refuses a page that is not a positive integer", () => {
  for (const pageTokens of [0, -1, NaN, Infinity, 1.5, 2 ** 32]) {
    assert.throws(
      () => hashPromptBlocks(new Uint32Array(4), { pageTokens, seed: SEED }),
      RangeError,
    );
  }
});
