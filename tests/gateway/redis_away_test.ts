/** Gateways whose Redis is away, silent, full, or breaks the connection. */
import assert from "node:assert/strict";
import { AS, redisCli, redisTest, withTwo } from "../support/redis_gateways.ts";
import { type Fixture, statusOf, waitUntil } from "../support/scripted_gateway.ts";

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
      assert.ok(performance.now() - startedAt < 700, "three that waited take 750");
      await running.text();
    } finally {
      server.signal("SIGCONT");
    }
    await waitUntil(() => store.isReady, "store back");
    const counts = async () => {
      const hash = await redisCli(server, "KEYS", "redraft:limits:*");
      return await redisCli(server, "HGET", hash, `f${store.lease}`);
    };
    const end = performance.now() + 5000;
    while (await counts() !== "0" && performance.now() < end);
    assert.equal(await counts(), "0");
  });
});

redisTest("tokens that are used while Redis is away count once it is back", async (server) => {
  await withTwo(server, { tokens_per_minute: 1000, budget_tokens: 5000 }, async (first, second) => {
    const store = first.gateway.services.store!;
    first.node.script = (stream) => stream.text("one ");
    const early = await first.chat({ stream: true, max_tokens: 200 }, AS);
    const [stream] = first.node.streams.values();
    await redisCli(server, "CONFIG", "SET", "maxmemory", "1");
    try {
      // The first one finds out, and is counted here.
      first.node.script = (stream) => (stream.text("two"), stream.finish());
      const late = await (await first.chat({ max_tokens: 300 }, AS)).json();
      assert.equal(store.isReady, false);
      const ready = await (await fetch(`${first.url}/readyz`)).json();
      assert.equal(ready.store, "away");
      assert.match(first.log.lines.join(), /store\.down.*OOM/);
      stream!.finish();
      await early.text();
      await redisCli(server, "CONFIG", "SET", "maxmemory", "0");
      await waitUntil(() => store.isReady, "store back");
      const used = late.usage.total_tokens + 4 + stream!.submit.tokens.length;
      const seen = async () => {
        const response = await second.chat({ max_tokens: 1 }, AS);
        const left = Number(response.headers.get("x-ratelimit-remaining-tokens"));
        const { usage } = await response.json();
        return { left: 1000 - left, own: usage.prompt_tokens + 1 };
      };
      const { left, own } = await seen();
      assert.equal(left, used + own);
      const [budget] = (await redisCli(server, "KEYS", "redraft:budget:*")).split("\n");
      assert.ok(Number(await redisCli(server, "GET", budget!)) >= used);
    } finally {
      await redisCli(server, "CONFIG", "SET", "maxmemory", "0");
    }
  });
});

redisTest("a connection that is reset lifts no cap", async (server) => {
  await withTwo(server, { requests_in_flight_max: 1 }, async (first, second) => {
    const { services } = first.gateway;
    first.node.script = (stream) => stream.text("one ");
    const running = await first.chat({ stream: true }, AS);
    const { lease } = services.store!;
    await redisCli(server, "CLIENT", "KILL", "TYPE", "normal");
    await waitUntil(
      () => services.store!.lease !== lease && services.store!.isReady,
      "reconnected",
    );
    await waitUntil(() => second.gateway.services.store!.isReady, "the other too");
    // Also after the old lease would have lapsed.
    await redisCli(server, "DEL", `redraft:lease:${lease}`);
    for (const { chat } of [first, second]) {
      assert.equal(await statusOf(await chat({}, AS)), 429);
    }
    const [stream] = first.node.streams.values();
    stream!.finish();
    await running.text();
    await waitUntil(() => services.activeCount === 0, "ended");
    assert.equal(await statusOf(await second.chat({}, AS)), 200);
  });
});
