/** Several gateways on one real Redis. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { readOptions } from "../../gateway/options.ts";
import { type Hold, MemoryLimits } from "../../gateway/limit_store.ts";
import type { KeyLimits } from "../../gateway/limits.ts";
import { RedisAnswers } from "../../gateway/redis_answers.ts";
import { RedisLimits } from "../../gateway/redis_limits.ts";
import { RedisStore } from "../../gateway/redis_store.ts";
import { finishedAnswer } from "../support/answers.ts";
import { AS, redisTest, withTwo } from "../support/redis_gateways.ts";
import type { RedisServer } from "../support/redis_server.ts";
import { MemoryLog, readChunks, statusOf, waitUntil } from "../support/scripted_gateway.ts";

const epochMs = () => performance.timeOrigin + performance.now();

async function withStore(
  server: RedisServer,
  act: (store: RedisStore) => Promise<void>,
): Promise<void> {
  const store = new RedisStore(server.url, "g1", new MemoryLog());
  try {
    await waitUntil(() => store.isReady, "store ready");
    await act(store);
  } finally {
    await store.close();
  }
}

redisTest("64 clients over two gateways overshoot by nothing", async (server) => {
  await withTwo(server, { tokens_per_minute: 1000 }, async (first, second) => {
    for (const { node } of [first, second]) {
      node.script = async (stream) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        stream.tokens(new Array(stream.submit.tokensMax).fill(65));
        stream.finish("length");
      };
    }
    let used = 0;
    await Promise.all(Array.from({ length: 64 }, async (_, seed) => {
      const { chat } = seed % 2 === 0 ? first : second;
      const response = await chat({ max_tokens: 91, seed }, AS);
      const body = await response.json();
      if (response.status === 200) used += body.usage.total_tokens;
      else assert.equal(response.status, 429);
    }));
    assert.equal(used, 1000);
    const refused = await second.chat({ max_tokens: 91, seed: 99 }, AS);
    assert.equal(refused.headers.get("x-ratelimit-remaining-tokens"), "0");
    assert.ok(Number(refused.headers.get("retry-after")) > 30);
    await refused.body?.cancel();
  });
});

redisTest(
  "what runs keeps its room past its gateway's lease, and gives it back once",
  async (server) => {
    const limits: KeyLimits = { tokensPerMinute: 1000, budgetPeriod: "day" };
    await withStore(server, async (store) => {
      const shared = new RedisLimits(store, new MemoryLimits(epochMs), epochMs);
      const admit = async (tokens: number) => {
        const decision = await shared.admit("key", limits, tokens);
        assert(decision.kind === "admitted", JSON.stringify(decision));
        return decision;
      };
      const before = store.lease;
      const { hold } = await admit(900);
      await store.command("DEL", `redraft:lease:${before}`); // As after a pause of 15 seconds.
      const refuse = async (tokens: number) => {
        const refused = await shared.admit("key", limits, tokens);
        assert(refused.kind === "refused" && refused.what === "tokens", JSON.stringify(refused));
      };
      await admit(50); // The first under another lease, so the others come after the move.
      assert.notEqual(store.lease, before);
      await refuse(51);
      hold.settle(900, 0);
      hold.release();
      await refuse(951);
      await admit(950);
    });
  },
);

redisTest("requests in flight count over gateways, and end with a lease", async (server) => {
  await withTwo(server, { requests_in_flight_max: 1 }, async (first, second) => {
    first.node.script = (stream) => stream.text("one ");
    const stream = await first.chat({ stream: true }, AS);
    assert.equal(await statusOf(await second.chat({}, AS)), 429);
    // The first gateway dies: so does what it held.
    const { lease } = first.gateway.services.store!;
    await second.gateway.services.store!.command("DEL", `redraft:lease:${lease}`);
    assert.equal(await statusOf(await second.chat({}, AS)), 200);
    await stream.body?.cancel();
  });
});

redisTest("an answer of one gateway is a hit at the other, whole and streamed", async (server) => {
  await withTwo(server, {}, async (first, second) => {
    const body = { temperature: 0 };
    const answer = await (await first.chat(body, AS)).json();
    const { redis } = second.gateway.services.answers!;
    let held: unknown[] = [];
    while (held.length === 0) held = await redis.command("KEYS", "redraft:answer:*") as unknown[];
    const hit = await second.chat({ ...body, stream: true }, AS);
    assert.equal(hit.headers.get("x-redraft-cache"), "HIT");
    assert.match(hit.headers.get("cache-status")!, /^redraft; hit; ttl=(300|29\d)$/);
    const chunks = await readChunks(hit);
    const text = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
    assert.equal(text, answer.choices[0].message.content);
    const whole = await (await second.chat(body, AS)).json();
    assert.deepEqual(whole.choices, answer.choices);
    assert.deepEqual(whole.usage, answer.usage);
    assert.equal(second.node.submits.length, 0);
    // Nothing of the question can be read there, and no key of a client.
    assert.doesNotMatch(JSON.stringify(held), /Hi|sk-/);
  });
});

redisTest("a gateway's answers in Redis are bounded: the oldest make room", async (server) => {
  await withStore(server, async (store) => {
    const answers = new RedisAnswers(store, () => 2000, epochMs);
    const answer = finishedAnswer("x".repeat(500));
    const found = async () =>
      await Promise.all(
        ["a", "b", "c", "d"].map(async (key) => await answers.find(key) !== undefined),
      );
    for (const key of ["a", "b"]) answers.store(key, answer, 60_000);
    assert.deepEqual(await found(), [true, true, false, false]);
    answers.store("b", answer, 60_000);
    answers.store("c", answer, 60_000);
    assert.deepEqual(await found(), [false, true, true, false]);
    answers.store("d", finishedAnswer("x".repeat(3000)), 60_000);
    assert.deepEqual(await found(), [false, true, true, false]);
  });
});

redisTest("the script decides as the meter of one process does", async (server) => {
  await withStore(server, async (store) => {
    const limit = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: undefined });
    const story = fc.record({
      requestsPerMinute: limit(6),
      tokensPerMinute: limit(100),
      inFlightMax: limit(4),
      budgetTokens: limit(150),
      steps: fc.array(
        fc.record({
          tokens: fc.nat(60),
          endShare: fc.double({ min: 0, max: 1, noNaN: true }),
          ends: fc.boolean(),
        }),
        { maxLength: 20 },
      ),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(story, async ({ steps, ...given }) => {
        const limits: KeyLimits = {
          ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)),
          budgetPeriod: "month",
        };
        const key = `k${++run}`;
        const local = new MemoryLimits(epochMs);
        const shared = new RedisLimits(store, new MemoryLimits(epochMs), epochMs);
        const open: Array<{ tokens: number; holds: Hold[] }> = [];
        for (const { tokens, endShare, ends } of steps) {
          const mine = local.admit(key, limits, tokens);
          const theirs = await shared.admit(key, limits, tokens);
          assert.equal(theirs.kind, mine.kind);
          type Decision = typeof mine;
          const what = (each: Decision) => each.kind === "refused" ? each.what : "admitted";
          assert.equal(what(theirs), what(mine));
          const used = (each: Decision) => each.kind === "refused" ? each.budgetUsed : undefined;
          assert.equal(used(theirs), used(mine));
          assert.equal(theirs.states.tokens?.remaining, mine.states.tokens?.remaining);
          assert.equal(theirs.states.requests?.remaining, mine.states.requests?.remaining);
          if (mine.kind === "admitted" && theirs.kind === "admitted") {
            open.push({ tokens, holds: [mine.hold, theirs.hold] });
          }
          const ended = ends ? open.shift() : undefined;
          for (const hold of ended?.holds ?? []) {
            hold.settle(ended!.tokens, Math.floor(ended!.tokens * endShare));
            hold.release();
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

redisTest("counts leave the script's window after a minute, and not before", async (server) => {
  await withStore(server, async (store) => {
    const shared = new RedisLimits(store, new MemoryLimits(epochMs), epochMs);
    const limits: KeyLimits = { tokensPerMinute: 100, budgetPeriod: "day" };
    const [seconds] = await store.command("TIME") as [string];
    const at = (ago: number) => `t${Number(seconds) - ago}`;
    await store.command("HSET", "redraft:limits:k", at(70), "90", at(55), "40");
    const decision = await shared.admit("k", limits, 70);
    assert.ok(decision.kind === "refused" && decision.what === "tokens");
    assert.ok(decision.retryMs > 1000 && decision.retryMs <= 6000, String(decision.retryMs));
    assert.equal((await shared.admit("k", limits, 60)).kind, "admitted");
    const fields = await store.command("HKEYS", "redraft:limits:k") as string[];
    assert.ok(!fields.includes(at(70)), "what is old is dropped");
  });
});

Deno.test("a store's address is checked, and never shown", () => {
  assert.throws(
    () => readOptions(["--store", "http://user:secret@host"], () => undefined),
    (error: Error) => /--store/.test(error.message) && !/secret/.test(error.message),
  );
});
