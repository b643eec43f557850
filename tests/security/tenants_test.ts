/** What one tenant could learn of another, or use up for it. */
import assert from "node:assert/strict";
import { KeyRing } from "../../gateway/auth.ts";
import { readConfig } from "../../gateway/config.ts";
import type { MemoryLimits } from "../../gateway/limit_store.ts";
import { KvPages } from "../../gpu-node/kv_pages.ts";
import { Fleet } from "../support/fleet.ts";
import type { LoadModel } from "../../gateway/served_model.ts";
import {
  loadByteModel,
  readChunks,
  statusOf,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";
import { AS_A, AS_B, attack, KEY_A, KEY_B, KEYED } from "./attack.ts";
import { chanceOf } from "./chance.ts";
import { keyFile } from "./key_file.ts";

const WORDS = "river stone lamp winter paper garden engine mirror castle orange".split(" ");
const GUESSES = 12;
/** Below it, times differ. */
const CHANCE_LEAST = 0.01;

/** A prompt of some hundred tokens that nobody else has. */
function secret(seed: number): string {
  let state = seed + 1;
  return Array.from({ length: 120 }, () => WORDS[(state = state * 48271 % 2147483647) % 10]).join(
    " ",
  );
}

/** Time to the first event that has text, and the prompt's tokens that were cached. */
async function askTimed(fleet: Fleet, key: string, content: string) {
  const startedAt = performance.now();
  const response = await fetch(`${fleet.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "authorization": `Bearer ${key}` },
    body: JSON.stringify({
      model: fleet.model,
      messages: [{ role: "user", content }],
      max_tokens: 1,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  let text = "";
  let firstMs: number | undefined;
  for await (const part of response.body!.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (/"content":"[^"]/.test(text)) firstMs ??= performance.now() - startedAt;
  }
  assert.ok(firstMs !== undefined, text);
  return { cached: Number(/"cached_tokens":(\d+)/.exec(text)![1]), ms: firstMs };
}

/** Asks for each of two prompts in turn, which first by turns too.
 * @returns The chance that their times are alike, and what was cached of each. */
async function compare(
  ask: (content: string) => Promise<{ cached: number; ms: number }>,
  promptsOf: (i: number) => [string, string],
) {
  const times: [number[], number[]] = [[], []];
  const cached: [number[], number[]] = [[], []];
  for (let i = 0; i < GUESSES; i++) {
    const prompts = promptsOf(i);
    for (const side of i % 2 === 0 ? [0, 1] as const : [1, 0] as const) {
      const answer = await ask(prompts[side]);
      times[side].push(answer.ms);
      cached[side].push(answer.cached);
    }
  }
  return { chance: chanceOf(...times), cached, times: times.map((ms) => ms.map(Math.round)) };
}

attack(14, async () => {
  await using fleet = await Fleet.start(1);
  // Keys without a tenant: each is one of its own, with a salt of its own, unless someone says so.
  fleet.gateway.setKeys(new KeyRing(KeyRing.parse(`${KEY_A},${KEY_B}`)));
  const owner = (content: string) => askTimed(fleet, KEY_A, content);
  const stranger = (content: string) => askTimed(fleet, KEY_B, content);
  // A page of the template's beginning is everyone's own.
  for (const ask of [owner, stranger]) await ask(secret(9000));
  const chances: number[] = [];
  let told = "";
  // By chance alone one try in a hundred would fail; where something leaks, all three do.
  for (let round = 0; round < 3 && !(chances.at(-1)! > CHANCE_LEAST); round++) {
    const at = (i: number) => 100 * round + i;
    for (let i = 0; i < GUESSES; i++) await owner(secret(at(i)));
    const guesses = await compare(stranger, (i) => [secret(at(i)), secret(1000 + at(i))]);
    assert.deepEqual(...guesses.cached, "a right guess finds no more than a wrong one");
    chances.push(guesses.chance);
    told += `${guesses.times.join(" against ")}; `;
  }
  assert.ok(chances.at(-1)! > CHANCE_LEAST, `${chances}: ${told}`);
  // The owner's own prefixes are held, and that shows by the same clock: or it would be too coarse
  // to have shown anything above.
  const own = await compare(owner, (i) => [`${secret(i)} And?`, `${secret(2000 + i)} And?`]);
  assert.ok(Math.min(...own.cached[0]) > 100 && Math.max(...own.cached[1]) < 50, `${own.cached}`);
  assert.ok(own.chance < CHANCE_LEAST, `${own.chance}: ${own.times.join(" against ")}`);
  // Nor does a gateway send a guess to the node that holds what another tenant asked.
  const { model } = fleet.gateway.services.pool.links[0]!;
  const tokens = model!.encodeText(secret(0));
  const [a, b] = fleet.gateway.services.keys.principals.map(({ tenant }) => {
    return new Set(model!.hashBlocks(tokens, tenant));
  });
  assert.ok(a!.size > 5 && a!.isDisjointFrom(b!), "no block of one is a block of the other");
  await memosAreApart();
});

/** What the gateway keeps of a prompt saves its own tenant's work alone. */
async function memosAreApart(): Promise<void> {
  let rendered = 0;
  const loadModel: LoadModel = async (card, pageTokens, json) => {
    const model = await loadByteModel(card, pageTokens, json);
    const renderAndEncode: typeof model.renderAndEncode = (...given) => {
      ++rendered;
      return model.renderAndEncode(...given);
    };
    return { ...model, renderAndEncode };
  };
  await withGateway(async ({ chat, node }) => {
    const costOf = async (init: RequestInit, seed: number) => {
      const before = rendered;
      const response = await chat({ seed, user: String(seed) }, init);
      await response.text();
      return `${rendered - before} ${response.headers.get("x-redraft-cache")}`;
    };
    assert.equal(await costOf(AS_A, 1), "1 MISS");
    assert.equal(await costOf(AS_A, 2), "0 MISS", "its own is remembered");
    assert.equal(await costOf(AS_B, 1), "1 MISS", "as if nobody had asked");
    assert.equal(await costOf(AS_A, 1), "0 HIT");
    const salts = new Set(node.submits.map(({ salt }) => salt));
    assert.equal(salts.size, 2);
  }, { env: { REDRAFT_API_KEYS: `${KEY_A},${KEY_B}` }, loadModel });
}

attack(15, async () => {
  // Equal hashes for all: a hit is a page whose tokens are the same.
  const pages = new KvPages(8, 4);
  const mine = Uint32Array.of(1, 2, 3, 4);
  const page = pages.allocate()!;
  assert.ok(pages.register(page, 7n, mine, 0, 0) > 0);
  const hashes = BigUint64Array.of(7n);
  assert.deepEqual(pages.match(Uint32Array.of(1, 2, 3, 5), hashes, 1).pages, []);
  assert.deepEqual(pages.match(mine, hashes, 1).pages, [page]);
  // At the gateway a hash only says which node to ask: the node sees all tokens.
  await withGateway(async ({ chat, node }) => {
    node.status({ blocksStored: BigUint64Array.of(0n, 1n, 2n) });
    await (await chat()).text();
    assert.equal(new TextDecoder().decode(Uint8Array.from(node.submits[0]!.tokens)), "user: Hi\n");
  });
});

attack(16, async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = (stream) => {
      // Runs of one to nine accepted tokens: the sizes would tell which drafts were right.
      for (let i = 1; i < 10; i++) stream.text("x".repeat(i));
      stream.finish();
    };
    const stream_options = { include_obfuscation: true };
    const text = await (await chat({ stream: true, stream_options })).text();
    const sizes = new Set<number>();
    for (const event of text.split("\n\n")) {
      if (!event.includes('"content":"x')) continue;
      const { choices, obfuscation } = JSON.parse(event.slice("data: ".length));
      assert.equal((choices[0].delta.content.length + obfuscation.length) % 64, 0);
      sizes.add(event.length);
    }
    assert.equal(sizes.size, 1, "every chunk has one size on the wire");
    // Nobody else's drafts are told: a trace is of one's own generation, and is never held.
    const traced = { temperature: 0, speculation: { mode: "default", trace: true } };
    for (let i = 0; i < 2; i++) {
      const response = await chat(traced);
      assert.equal(response.headers.get("x-redraft-cache"), "BYPASS");
      await response.text();
    }
  });
});

attack(20, async () => {
  await withGateway(async ({ chat, node }) => {
    const body = { temperature: 0 };
    const cacheOf = async (response: Promise<Response>) => {
      const answer = await response;
      await answer.text();
      return answer.headers.get("x-redraft-cache");
    };
    assert.equal(await cacheOf(chat(body, AS_A)), "MISS");
    assert.equal(await cacheOf(chat(body, AS_A)), "HIT");
    assert.equal(await cacheOf(chat(body, AS_B)), "MISS", "another tenant");
    for (
      const more of [{ user: "alice" }, { prompt_cache_key: "alice" }, {
        safety_identifier: "alice",
      }]
    ) {
      await cacheOf(chat({ ...body, ...more }, AS_B));
    }
    assert.deepEqual([...new Set(node.submits.map(({ salt }) => salt))], ["alice", "bobby"]);
    // The order of keys neither splits an answer nor joins two.
    const messages = [{ content: "Hi", role: "user" }];
    assert.equal(await cacheOf(chat({ messages, temperature: 0 }, AS_A)), "HIT");
    assert.equal(await cacheOf(chat({ ...body, top_logprobs: 1, logprobs: true }, AS_A)), "MISS");
    const plain = node.script;
    // Broken and abandoned answers are nobody's.
    node.script = (stream) => {
      stream.text("half");
      stream.fail("engine", false);
    };
    const broken = { ...body, max_tokens: 7 };
    assert.ok(await statusOf(await chat(broken, AS_A)) >= 500);
    node.script = plain;
    assert.equal(await cacheOf(chat(broken, AS_A)), "MISS");
    const held = await chat(body, AS_A);
    await held.text();
    const { headers } = held;
    assert.doesNotMatch(headers.get("cache-status") ?? "", /key=/, "no oracle for others");
    assert.match(headers.get("cache-control")!, /private, no-store/);
    assert.match(headers.get("vary")!, /authorization/);
  }, KEYED);
});

attack(28, async () => {
  const limits = { tokens_per_minute: 10_000_000, requests_in_flight_max: 64, budget_tokens: 1e9 };
  const file = readConfig(keyFile({ alice: KEY_A }, limits), new Map());
  await withGateway(async ({ chat, gateway, node }) => {
    const { limits } = gateway.services;
    const plain = node.script;
    const left = () => (limits as MemoryLimits).outstanding();
    node.script = (stream) => {
      stream.text("half");
      setTimeout(() => stream.finish(), 20);
    };
    const tries = Array.from({ length: 60 }, async (_, i) => {
      const stop = new AbortController();
      const init = { ...AS_A, signal: stop.signal };
      const body = { max_tokens: 50, seed: i, stream: i % 2 === 0, n: 1 + i % 3 };
      if (i % 3 === 0) setTimeout(() => stop.abort(), i % 25);
      try {
        const response = await chat(i % 7 === 0 ? { ...body, temperature: 9 } : body, init);
        if (i % 4 === 0) await response.body?.cancel();
        else await response.text();
      } catch (error) {
        assert.equal((error as Error).name, "AbortError");
      }
    });
    await Promise.all(tries);
    node.script = (stream) => stream.fail("engine", false);
    await statusOf(await chat({ stream: true }, AS_A));
    await waitUntil(() => left().tokens === 0 && left().requests === 0, "nothing reserved");
    await waitUntil(() => gateway.services.activeCount === 0, "nothing runs");
    node.script = plain;
    assert.ok((await readChunks(await chat({ stream: true }, AS_A))).length > 2);
  }, { adjust: (options) => options.keys = file.keys });
});
