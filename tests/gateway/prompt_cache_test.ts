import assert from "node:assert/strict";
import { upstreamError } from "../../gateway/errors.ts";
import { readCacheControl, readCacheHeaders } from "../../gateway/cache_control.ts";
import { PromptCache } from "../../gateway/prompt_cache.ts";
import { finishedAnswer, newAnswer } from "../support/answers.ts";

Deno.test("an answer is found until its time is over", () => {
  let now = 0;
  const cache = new PromptCache({ bytesMax: 1 << 20, ttlMs: 100, now: () => now });
  cache.settle("a", finishedAnswer("text"));
  now = 99;
  assert.equal(cache.find("a", 98), undefined);
  assert.equal(cache.find("a")?.kind, "hit");
  assert.equal(cache.find("a")?.ageMs, 99);
  now = 100;
  assert.equal(cache.find("a"), undefined);
  assert.equal(cache.bytes, 0);
});

Deno.test("an answer may have a time of its own", () => {
  let now = 0;
  const cache = new PromptCache({ bytesMax: 1 << 20, ttlMs: 100, now: () => now });
  cache.settle("long", finishedAnswer("text"), 500);
  cache.settle("none", finishedAnswer("text"), 0);
  assert.equal(cache.find("none"), undefined);
  now = 400;
  assert.equal(cache.find("long")?.ttlMs, 100);
});

Deno.test("the least recently used goes first, and the bound holds", () => {
  const cache = new PromptCache({ bytesMax: 20_000, ttlMs: 1e9, now: () => 0 });
  for (let i = 0; i < 50; ++i) {
    cache.settle(`k${i}`, finishedAnswer("x".repeat(1000)));
    cache.find("k0");
    assert.ok(cache.bytes <= 20_000);
  }
  assert.ok(cache.find("k0"));
  assert.ok(cache.find("k49"));
  assert.equal(cache.find("k1"), undefined);
  const held = cache.entryCount;
  cache.settle("huge", finishedAnswer("x".repeat(50_000)));
  assert.equal(cache.find("huge"), undefined);
  assert.equal(cache.entryCount, held);
});

Deno.test("one under way is shared until it ends, and kept only whole", () => {
  const cache = new PromptCache({ bytesMax: 1 << 20, ttlMs: 1e9, now: () => 0 });
  const first = newAnswer();
  cache.begin("a", first);
  cache.begin("a", newAnswer());
  assert.equal(cache.find("a")?.generation, first);
  assert.equal(cache.find("a")?.kind, "collapsed");
  first.fail(upstreamError("gone"));
  cache.settle("a", first);
  assert.equal(cache.find("a"), undefined);
});

Deno.test("Cache-Control is read as the standard says", () => {
  const read = (header: string | null) => {
    const { mayRead, mayStore, onlyIfCached } = readCacheControl(header);
    return [mayRead, mayStore, onlyIfCached];
  };
  assert.deepEqual(read(null), [true, true, false]);
  assert.deepEqual(read("No-Cache"), [false, true, false]);
  assert.deepEqual(read("max-age=0"), [false, true, false]);
  assert.deepEqual(read("no-store, foo=bar"), [false, false, false]);
  assert.deepEqual(read("only-if-cached"), [true, true, true]);
});

Deno.test("max-age bounds a held answer's age; broken values are none", () => {
  assert.equal(readCacheControl("max-age=60").maxAgeMs, 60_000);
  assert.equal(readCacheControl("max-age=-1").maxAgeMs, Infinity);
  assert.equal(readCacheControl("max-age=x").mayRead, true);
});

Deno.test("other gateways' headers mean the same here", () => {
  const read = (init: Record<string, string>) => readCacheHeaders(new Headers(init));
  assert.deepEqual(read({}), readCacheControl(null));
  const skipped = read({ "cf-aig-skip-cache": "true" });
  assert.deepEqual([skipped.mayRead, skipped.mayStore], [false, false]);
  const refreshed = read({ "x-portkey-cache-force-refresh": "True" });
  assert.deepEqual([refreshed.mayRead, refreshed.mayStore], [false, true]);
  assert.equal(read({ "cf-aig-cache-ttl": "60" }).ttlMs, 60_000);
  assert.equal(read({ "x-redraft-cache-ttl": "5", "cf-aig-cache-ttl": "60" }).ttlMs, 5000);
  assert.equal(read({ "x-redraft-cache-ttl": "soon" }).ttlMs, undefined);
  assert.equal(read({ "x-redraft-cache-ttl": "999999999" }).ttlMs, 86_400_000);
});
