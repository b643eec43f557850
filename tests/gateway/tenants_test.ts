/** What each key may do, over real sockets. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { KeyRing } from "../../gateway/auth.ts";
import { readConfig } from "../../gateway/config.ts";
import type { MemoryLimits } from "../../gateway/limit_store.ts";
import {
  type Fixture,
  readChunks,
  statusOf,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";

/** Each tenant's key is its name, made long. */
const keyOf = (tenant: string) => `sk-${tenant}-0123456789`;
const as = (tenant: string) => ({ headers: { authorization: `Bearer ${keyOf(tenant)}` } });

type Limits = Record<string, unknown>;

function withTenants(limits: Record<string, Limits>, act: (fixture: Fixture) => Promise<void>) {
  const keys = Object.entries(limits).map(([tenant, more]) => ({
    tenant,
    sha256: createHash("sha256").update(keyOf(tenant)).digest("hex"),
    ...more,
  }));
  const file = readConfig(JSON.stringify({ keys }), new Map());
  return withGateway(async (fixture) => {
    await act(fixture);
    // Whatever happened, nothing stays reserved.
    const limits = fixture.gateway.services.limits as MemoryLimits;
    await waitUntil(() => {
      const { tokens, requests } = limits.outstanding();
      return tokens === 0 && requests === 0;
    }, "reservations released");
  }, { nodes: [{}, {}], adjust: (options) => options.keys = file.keys });
}

async function expectLimit(response: Response, code: string): Promise<void> {
  const { error } = await response.json();
  assert.equal(response.status, 429, JSON.stringify(error));
  assert.equal(error.code, code);
  assert.ok(Number(response.headers.get("retry-after")) >= 1);
  assert.ok(Number(response.headers.get("retry-after-ms")) >= 1);
}

Deno.test("a key uses and sees its own models alone", async () => {
  await withTenants({ a: { models: ["other"] }, b: { models: ["scripted"] } }, async (fixture) => {
    const { chat, url, node } = fixture;
    const refused = await chat({}, as("a"));
    assert.equal(refused.status, 403);
    assert.equal((await refused.json()).error.code, "model_not_allowed");
    assert.equal(node.submits.length, 0);
    const list = async (tenant: string) =>
      (await (await fetch(`${url}/v1/models`, as(tenant))).json()).data.length;
    assert.deepEqual([await list("a"), await list("b")], [0, 1]);
    const hidden = await fetch(`${url}/v1/models/scripted`, as("a"));
    assert.equal(hidden.status, 404);
    await hidden.body?.cancel();
    assert.equal((await (await chat({}, as("b"))).json()).choices.length, 1);
  });
});

Deno.test("requests a minute: counted by key, told in headers, refused past them", async () => {
  await withTenants({ a: { requests_per_minute: 2 }, b: {} }, async ({ chat }) => {
    const first = await chat({}, as("a"));
    assert.equal(first.headers.get("x-ratelimit-limit-requests"), "2");
    assert.equal(first.headers.get("x-ratelimit-remaining-requests"), "1");
    assert.match(first.headers.get("ratelimit")!, /^"requests";r=1;t=\d+$/);
    await first.body?.cancel();
    // A body that is refused costs nothing.
    assert.equal(await statusOf(await chat({ n: 0 }, as("a"))), 400);
    await (await chat({}, as("a"))).text();
    await expectLimit(await chat({}, as("a")), "rate_limit_exceeded");
    const cached = { headers: { ...as("a").headers, "cache-control": "only-if-cached" } };
    await expectLimit(await chat({ temperature: 0 }, cached), "rate_limit_exceeded");
    const other = await chat({}, as("b"));
    assert.equal(other.status, 200);
    assert.equal(other.headers.get("ratelimit"), null);
    await other.body?.cancel();
  });
});

Deno.test("tokens a minute: reserved at the most, settled at what was used", async () => {
  await withTenants({ a: { tokens_per_minute: 100 } }, async ({ chat }) => {
    // 9 of the prompt and 13 of the answer, of 89 reserved.
    const first = await chat({ max_tokens: 80, seed: 1 }, as("a"));
    assert.equal(first.headers.get("x-ratelimit-remaining-tokens"), "11");
    await first.text();
    const second = await chat({ max_tokens: 60, seed: 2 }, as("a"));
    assert.equal(second.headers.get("x-ratelimit-remaining-tokens"), "9");
    await second.text();
    await expectLimit(await chat({ max_tokens: 60, seed: 3 }, as("a")), "rate_limit_exceeded");
    // An answer that is held costs no tokens.
    const held = await chat({ max_tokens: 80, seed: 1 }, as("a"));
    assert.equal(held.headers.get("x-redraft-cache"), "HIT");
    await held.text();
  });
});

Deno.test("a request that no minute holds is told its field and no time to wait", async () => {
  const limits = { a: { tokens_per_minute: 100 }, b: { budget_tokens: 100 } };
  await withTenants(limits, async ({ chat, post, node, nodes }) => {
    const input = { model: "scripted", input: "Hi", max_output_tokens: 200 };
    const text = { model: "scripted", prompt: "Hi", max_tokens: 200 };
    const asked = {
      "a max_tokens 209": () => chat({ max_tokens: 200 }, as("a")),
      "a max_tokens 202": () => post("/v1/completions", text, as("a")),
      "a max_output_tokens 209": () => post("/v1/responses", input, as("a")),
      "b max_tokens 209": () => chat({ max_tokens: 200 }, as("b")),
    };
    for (const [told, ask] of Object.entries(asked)) {
      const [tenant, field, requested] = told.split(" ");
      const response = await ask();
      const { error } = await response.json();
      assert.equal(response.status, 429);
      assert.equal(error.code, tenant === "a" ? "rate_limit_exceeded" : "insufficient_quota");
      assert.equal(error.param, field);
      assert.ok(error.message.includes(`Limit 100, Requested ${requested}.`), error.message);
      assert.match(error.message, /Waiting does not help/);
      assert.equal(response.headers.get("x-should-retry"), "false");
      assert.equal(response.headers.get("retry-after"), null);
      assert.equal(response.headers.get("retry-after-ms"), null);
    }
    assert.equal(nodes.reduce((sum, { submits }) => sum + submits.length, 0), 0);
    // It has taken nothing: what fits is served, and past it there is a time again.
    assert.equal(await statusOf(await chat({ max_tokens: 91 }, as("a"))), 200);
    node.script = nodes[1]!.script = (stream) => stream.text("one ");
    const held = await chat({ max_tokens: 50, stream: true }, as("a"));
    await expectLimit(await chat({ max_tokens: 50 }, as("a")), "rate_limit_exceeded");
    await held.body?.cancel();
  });
});

Deno.test("tokens a minute: 64 clients at once overshoot by nothing", async () => {
  await withTenants({ a: { tokens_per_minute: 1000 } }, async ({ chat, nodes }) => {
    for (const node of nodes) {
      node.script = async (stream) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        stream.tokens(new Array(stream.submit.tokensMax).fill(65));
        stream.finish("length");
      };
    }
    let used = 0;
    await Promise.all(Array.from({ length: 64 }, async (_, seed) => {
      const response = await chat({ max_tokens: 91, seed }, as("a"));
      const body = await response.json();
      if (response.status === 200) used += body.usage.total_tokens;
      else assert.equal(response.status, 429);
    }));
    assert.equal(used, 1000);
  });
});

Deno.test("requests in flight: the cap holds for HTTP and WebSocket together", async () => {
  await withTenants({ a: { requests_in_flight_max: 2 } }, async (fixture) => {
    const { chat, url, nodes } = fixture;
    for (const node of nodes) node.script = (stream) => stream.text("one ");
    const stream = await chat({ stream: true }, as("a"));
    const socket = new WebSocket(url.replace("http", "ws") + "/v1/generate", [
      `openai-insecure-api-key.${keyOf("a")}`,
    ]);
    // deno-lint-ignore no-explicit-any
    const events: any[] = [];
    socket.onmessage = ({ data }) => events.push(JSON.parse(data));
    await new Promise((resolve) => socket.onopen = resolve);
    const create = () =>
      socket.send(JSON.stringify({
        type: "response.create",
        response: { model: "scripted", prompt: "Hi" },
      }));
    create();
    await waitUntil(() => events.some(({ type }) => /delta$/.test(type)), "second stream");
    create();
    await waitUntil(() => events.some(({ type }) => type === "error"), "refusal");
    assert.equal(events.at(-1).error.code, "concurrency_exceeded");
    await expectLimit(await chat({}, as("a")), "concurrency_exceeded");
    // A client that leaves gives its place back.
    await stream.body?.cancel();
    await waitUntil(
      () => nodes.reduce((sum, node) => sum + node.cancels.length, 0) === 1,
      "stream cancelled",
    );
    for (const node of nodes) {
      node.script = (stream) => {
        stream.text("two");
        stream.finish();
      };
    }
    assert.equal(await statusOf(await chat({}, as("a"))), 200);
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
  });
});

Deno.test("a budget that is used up is 'insufficient_quota'", async () => {
  await withTenants({ a: { budget_tokens: 40 } }, async ({ chat }) => {
    await (await chat({ max_tokens: 20, seed: 1 }, as("a"))).text();
    const body = { max_tokens: 20, seed: 2 };
    const refused = await chat(body, as("a"));
    assert.equal(refused.headers.get("x-should-retry"), "false");
    // 22 of the first; each prompt has 9.
    const { error } = await refused.clone().json();
    assert.match(error.message, /Limit 40, Used 22, Requested 29\..*'max_tokens' of at most 9\.$/);
    await expectLimit(refused, "insufficient_quota");
    const fitting = await chat({ ...body, max_tokens: 9 }, as("a"));
    assert.equal(await statusOf(fitting), 200);
  });
});

Deno.test("a budget that nothing would keep is warned of, at start and at a reload", async () => {
  const warned = ({ log }: Fixture) =>
    log.lines.filter((line) => line.includes("budgets.not_kept")).length;
  await withTenants({ a: {}, b: { tokens_per_minute: 5 } }, (fixture) => {
    assert.equal(warned(fixture), 0);
    return Promise.resolve();
  });
  await withTenants({ a: {}, b: { budget_tokens: 40 } }, (fixture) => {
    assert.equal(warned(fixture), 1);
    fixture.gateway.setKeys(fixture.gateway.services.keys);
    assert.equal(warned(fixture), 2);
    return Promise.resolve();
  });
});

Deno.test("failed, abandoned and shared answers release what they reserved", async () => {
  await withTenants({ a: { tokens_per_minute: 1_000_000 } }, async ({ chat, nodes }) => {
    for (const node of nodes) node.script = (stream) => stream.fail("engine", false);
    assert.equal(await statusOf(await chat({}, as("a"))), 502);
    for (const node of nodes) {
      node.script = (stream) => {
        stream.text("half");
        setTimeout(() => stream.finish(), 30);
      };
    }
    const body = { stream: true, temperature: 0, n: 2 };
    const [first, second] = await Promise.all([chat(body, as("a")), chat(body, as("a"))]);
    await first.body?.cancel();
    assert.ok((await readChunks(second)).length > 2);
  });
});

Deno.test("keys change while the gateway runs", async () => {
  await withTenants({ a: { requests_per_minute: 9 } }, async ({ chat, gateway }) => {
    assert.equal(await statusOf(await chat({}, as("a"))), 200);
    const limits = gateway.services.limits as MemoryLimits;
    assert.equal(limits.meterCount, 1);
    const { keys } = readConfig(
      JSON.stringify({
        keys: [{ tenant: "c", sha256: createHash("sha256").update(keyOf("c")).digest("hex") }],
      }),
      new Map(),
    );
    gateway.setKeys(new KeyRing(keys));
    assert.equal(limits.meterCount, 0);
    assert.equal(await statusOf(await chat({}, as("a"))), 401);
    const response = await chat({}, as("c"));
    assert.equal(response.status, 200);
    await response.text();
    // A file that lost its keys lets nobody in, not even on loopback.
    assert.throws(() => gateway.setKeys(new KeyRing([])), /there are none any more/);
    assert.equal(await statusOf(await chat()), 401);
  });
});
