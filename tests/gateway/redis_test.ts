/** Several gateways on one real Redis. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { readConfig } from "../../gateway/config.ts";
import { readOptions } from "../../gateway/options.ts";
import { MemoryLimits } from "../../gateway/limit_store.ts";
import type { Decision, KeyLimits } from "../../gateway/limits.ts";
import { RedisLimits } from "../../gateway/redis_limits.ts";
import { RedisStore } from "../../gateway/redis_store.ts";
import { REDIS_PROGRAM, RedisServer } from "../support/redis_server.ts";
import {
  type Fixture,
  MemoryLog,
  readChunks,
  statusOf,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";

const KEY = "sk-shared-0123456789";
const AS = { headers: { authorization: `Bearer ${KEY}` } };
const epochMs = () => performance.timeOrigin + performance.now();

/** A test that needs redis-server; without one it is skipped, and counted so. */
function redisTest(name: string, act: (server: RedisServer) => Promise<void>): void {
  Deno.test({
    name,
    ignore: !REDIS_PROGRAM,
    fn: async () => {
      await using server = await RedisServer.start();
      await act(server);
    },
  });
}

/** Two gateways, each with a node of its own. */
function withTwo(
  server: RedisServer,
  limits: Record<string, unknown>,
  act: (first: Fixture, second: Fixture) => Promise<void>,
): Promise<void> {
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  const { keys } = readConfig(
    JSON.stringify({ keys: [{ tenant: "t", sha256, ...limits }] }),
    new Map(),
  );
  const options = {
    args: ["--store", server.url],
    adjust: (given: { keys: unknown }) => given.keys = keys,
  };
  return withGateway((first) =>
    withGateway(async (second) => {
      for (const { gateway } of [first, second]) {
        await waitUntil(() => gateway.services.store!.isReady, "store ready");
      }
      await act(first, second);
    }, options), options);
}

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
  "a gateway whose lease ended gives nothing back twice, and begins another",
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
      const { holder } = await admit(900);
      await store.command("DEL", `redraft:lease:${before}`); // As after a pause of 15 seconds.
      await admit(600);
      assert.notEqual(store.lease, before);
      holder!.settle("key", limits, 900, 0);
      holder!.release("key", limits);
      const refused = await shared.admit("key", limits, 500);
      assert(refused.kind === "refused" && refused.what === "tokens", JSON.stringify(refused));
      await admit(400);
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

redisTest("Redis gone: local limits, said in readiness; back: shared again", async (server) => {
  await withTwo(server, { requests_per_minute: 3 }, async (first, second) => {
    const storeOf = async ({ url }: Fixture) => (await (await fetch(`${url}/readyz`)).json()).store;
    assert.equal(await storeOf(first), "ready");
    assert.equal(await statusOf(await first.chat({}, AS)), 200);
    await server.down();
    // Each counts alone now.
    for (const { chat } of [first, second]) {
      for (const status of [200, 200, 200, 429]) {
        assert.equal(await statusOf(await chat({}, AS)), status);
      }
    }
    assert.equal(await storeOf(first), "away");
    const ready = await fetch(`${first.url}/readyz`);
    assert.equal(await statusOf(ready), 200);
    await server.up();
    for (const { gateway } of [first, second]) {
      await waitUntil(() => gateway.services.store!.isReady, "store back");
    }
    assert.equal(await statusOf(await first.chat({}, AS)), 200);
    assert.equal(await statusOf(await second.chat({}, AS)), 200);
    assert.equal(await statusOf(await first.chat({}, AS)), 200);
    assert.equal(await statusOf(await second.chat({}, AS)), 429);
  });
});

redisTest("Redis silent: nobody waits for it, and nothing stays counted", async (server) => {
  await withTwo(server, { requests_in_flight_max: 2 }, async (first) => {
    const store = first.gateway.services.store!;
    const storeOf = async () => (await (await fetch(`${first.url}/readyz`)).json()).store;
    assert.equal(await statusOf(await first.chat({}, AS)), 200);
    const running = await first.chat({ stream: true }, AS);
    server.signal("SIGSTOP");
    try {
      // The first one finds out; those that follow do not wait at all.
      assert.equal(await statusOf(await first.chat({}, AS)), 200);
      assert.equal(await storeOf(), "away");
      const startedAt = performance.now();
      for (let i = 0; i < 3; ++i) assert.equal(await statusOf(await first.chat({}, AS)), 200);
      assert.ok(performance.now() - startedAt < 250);
      await running.text();
    } finally {
      server.signal("SIGCONT");
    }
    await waitUntil(() => store.isReady, "store back");
    const counts = async () => {
      const { stdout } = await new Deno.Command("redis-cli", {
        args: ["-u", server.url, "--raw", "HGET", await hashOf(server), `f${store.lease}`],
      }).output();
      return new TextDecoder().decode(stdout).trim();
    };
    const end = performance.now() + 5000;
    while (await counts() !== "0" && performance.now() < end);
    assert.equal(await counts(), "0");
  });
});

async function hashOf({ url }: RedisServer): Promise<string> {
  const args = ["-u", url, "--raw", "KEYS", "redraft:limits:*"];
  const { stdout } = await new Deno.Command("redis-cli", { args }).output();
  return new TextDecoder().decode(stdout).trim();
}

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
        const open: number[] = [];
        for (const { tokens, endShare, ends } of steps) {
          const mine = local.admit(key, limits, tokens);
          const theirs = await shared.admit(key, limits, tokens);
          assert.equal(theirs.kind, mine.kind);
          const what = (each: Decision) => each.kind === "refused" ? each.what : "admitted";
          assert.equal(what(theirs), what(mine));
          const used = (each: Decision) => each.kind === "refused" ? each.budgetUsed : undefined;
          assert.equal(used(theirs), used(mine));
          assert.equal(theirs.states.tokens?.remaining, mine.states.tokens?.remaining);
          assert.equal(theirs.states.requests?.remaining, mine.states.requests?.remaining);
          if (mine.kind === "admitted") open.push(tokens);
          const reserved = ends ? open.shift() : undefined;
          if (reserved === undefined) continue;
          for (const each of [local, shared]) {
            each.settle(key, limits, reserved, Math.floor(reserved * endShare));
            each.release(key, limits);
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
