import assert from "node:assert/strict";
import fc from "fast-check";
import { KvPages } from "../../gpu-node/kv_pages.ts";
import { hashPromptBlocks } from "../../kernels/glue/mod.ts";
import { promptTokens } from "./requests.ts";

const PAGE_TOKENS = 4;
const SEED = new Uint8Array(0);

function take(pages: KvPages, count: number): number[] {
  return Array.from({ length: count }, () => {
    const page = pages.allocate();
    assert(page !== undefined);
    return page;
  });
}

/** Registers all full blocks of `tokens`, which `table` holds. */
function registerAll(pages: KvPages, table: number[], tokens: Uint32Array, from = 0, serial = 0) {
  const hashes = hashPromptBlocks(tokens, PAGE_TOKENS, SEED);
  for (let block = from; block < hashes.length; block++) {
    serial = pages.register(table[block], hashes[block], tokens, block, serial);
    if (serial === 0) return;
  }
}

const match = (pages: KvPages, tokens: Uint32Array, blocksMax = Infinity) =>
  pages.match(tokens, hashPromptBlocks(tokens, PAGE_TOKENS, SEED), blocksMax);

Deno.test("allocate() gives each page once, then none", () => {
  const pages = new KvPages(3, PAGE_TOKENS);
  const table = take(pages, 3);
  assert.deepEqual(new Set(table), new Set([0, 1, 2]));
  assert.equal(pages.allocate(), undefined);
  pages.release(table);
  assert.equal(pages.availableCount, 3);
  pages.check([]);
});

Deno.test("release() of a page that is not held throws", () => {
  const pages = new KvPages(2, PAGE_TOKENS);
  const [page] = take(pages, 1);
  pages.release([page]);
  assert.throws(() => pages.release([page]));
});

Deno.test("match() shares the longest registered prefix", async (t) => {
  const pages = new KvPages(8, PAGE_TOKENS);
  const tokens = promptTokens(12, 1);
  const table = take(pages, 3);
  registerAll(pages, table, tokens);
  await t.step("while it is held", () => {
    const hit = match(pages, tokens);
    assert.deepEqual(hit.pages, table);
    pages.check([table, hit.pages]);
    pages.release(hit.pages);
  });
  await t.step("after it was released", () => {
    pages.release(table);
    assert.equal(pages.cachedCount, 3);
    const hit = match(pages, tokens);
    assert.deepEqual(hit.pages, table);
    pages.release(hit.pages);
  });
  await t.step("no further than blocksMax", () => {
    const hit = match(pages, tokens, 2);
    assert.deepEqual(hit.pages, table.slice(0, 2));
    pages.release(hit.pages);
  });
  await t.step("no further than the tokens agree", () => {
    const other = tokens.with(5, 1000);
    const hit = match(pages, other);
    assert.deepEqual(hit.pages, table.slice(0, 1));
    pages.release(hit.pages);
  });
  pages.check([]);
});

Deno.test("a colliding hash never yields another prefix's page", () => {
  const pages = new KvPages(8, PAGE_TOKENS);
  const mine = promptTokens(8, 1);
  const theirs = promptTokens(8, 2);
  // Equal hashes for everything: the worst hash there can be.
  const hashes = BigUint64Array.of(7n, 7n);
  const table = take(pages, 2);
  const serial = pages.register(table[0], 7n, mine, 0, 0);
  assert(serial > 0);
  assert.equal(pages.register(table[1], 7n, mine, 1, serial), 0, "the hash is taken");
  assert.deepEqual(pages.match(theirs, hashes, 2).pages, []);
  const hit = pages.match(mine, hashes, 2);
  assert.deepEqual(hit.pages, [table[0]]);
  pages.check([table, hit.pages]);
});

Deno.test("a block whose parent was evicted never matches", () => {
  const pages = new KvPages(4, PAGE_TOKENS);
  const tokens = promptTokens(8, 1);
  const table = take(pages, 2);
  registerAll(pages, table, tokens);
  // Released one by one, the parent is the older and goes first.
  pages.release([table[0]]);
  pages.release([table[1]]);
  const others = take(pages, 3);
  assert.deepEqual(match(pages, tokens).pages, []);
  pages.release(others);
  const again = take(pages, 2);
  registerAll(pages, again, tokens);
  const hit = match(pages, tokens);
  assert.deepEqual(hit.pages, again);
  pages.check([again, hit.pages]);
});

Deno.test("eviction takes the least recently used, a table's last page first", () => {
  const pages = new KvPages(4, PAGE_TOKENS);
  const first = promptTokens(8, 1);
  const second = promptTokens(8, 2);
  for (const tokens of [first, second]) {
    const table = take(pages, 2);
    registerAll(pages, table, tokens);
    pages.release(table);
  }
  const hit = match(pages, first);
  pages.release(hit.pages);
  const [fresh] = take(pages, 1);
  assert.equal(match(pages, second).pages.length, 1, "its last block went");
  assert.equal(match(pages, first).pages.length, 2);
  assert(fresh !== undefined);
});

Deno.test("takeReport() tells the net change since the last one", () => {
  const pages = new KvPages(2, PAGE_TOKENS);
  const tokens = promptTokens(8, 1);
  const hashes = hashPromptBlocks(tokens, PAGE_TOKENS, SEED);
  const table = take(pages, 2);
  registerAll(pages, table, tokens);
  assert.deepEqual(pages.takeReport().stored, hashes);
  assert.deepEqual(pages.storedBlocks(), hashes);
  pages.release(table);
  take(pages, 1);
  assert.deepEqual([...pages.takeReport().removed], [hashes[1]]);
  const { stored, removed } = pages.takeReport();
  assert.equal(stored.length + removed.length, 0);
});

Deno.test("free + held + cached = pagesMax, whatever happens", () => {
  const step = fc.record({
    act: fc.nat(3),
    prompt: fc.nat(5),
    length: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const pages = new KvPages(10, PAGE_TOKENS);
    const tables: number[][] = [];
    for (const { act, prompt, length } of steps) {
      if (act === 0 && tables.length > 0) {
        pages.release(tables.splice(prompt % tables.length, 1)[0]);
      } else {
        const tokens = promptTokens(length, prompt);
        const { pages: table, serial } = match(pages, tokens);
        const matched = table.length;
        while (table.length < pages.pagesFor(length)) {
          const page = pages.allocate();
          if (page === undefined) break;
          table.push(page);
        }
        tables.push(table);
        const full = Math.min(table.length, Math.floor(length / PAGE_TOKENS)) * PAGE_TOKENS;
        if (act > 1) registerAll(pages, table, tokens.subarray(0, full), matched, serial);
      }
      pages.check(tables);
    }
  }));
});
