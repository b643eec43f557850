import assert from "node:assert/strict";
import { readChunks, statusOf, withGateway } from "../support/scripted_gateway.ts";

const GREEDY = { temperature: 0 };

Deno.test("a determined answer is held, whole and streamed, and says so", async () => {
  await withGateway(async ({ chat, node }) => {
    const miss = await chat(GREEDY);
    assert.equal(miss.headers.get("x-redraft-cache"), "MISS");
    assert.equal(miss.headers.get("cache-status"), "redraft; fwd=miss; stored");
    const body = await miss.json();
    const hit = await chat({ ...GREEDY, user: "someone" });
    assert.equal(hit.headers.get("x-redraft-cache"), "HIT");
    assert.equal(hit.headers.get("cache-status"), "redraft; hit; ttl=300");
    assert.equal(hit.headers.get("age"), "0");
    const again = await hit.json();
    assert.deepEqual(again.choices, body.choices);
    assert.deepEqual(again.usage, body.usage);
    const stream = await chat({ ...GREEDY, stream: true });
    assert.equal(stream.headers.get("x-redraft-cache"), "HIT");
    const chunks = await readChunks(stream);
    const text = chunks.map((c) => c.choices[0].delta.content ?? "").join("");
    assert.equal(text, body.choices[0].message.content);
    assert.equal(node.submits.length, 1);
  });
});

Deno.test("'stored' is said where an answer may be kept, and nowhere else", async () => {
  const none = { "x-redraft-cache-ttl": "0" };
  const logged = { logprobs: true, top_logprobs: 2, max_tokens: 4000 };
  const cases: Array<[string[], Record<string, unknown>, Record<string, string>, string]> = [
    [[], {}, {}, "fwd=miss; stored"],
    [[], { stream: true }, {}, "fwd=miss; stored"],
    [[], {}, { "cache-control": "no-cache" }, "fwd=request; stored"],
    [[], {}, { "cache-control": "no-store" }, "fwd=bypass"],
    [[], {}, none, "fwd=miss"],
    [[], {}, { ...none, "cache-control": "no-cache" }, "fwd=request"],
    [["--cache-mib", "0"], {}, {}, "fwd=miss"],
    [["--cache-mib", "0"], { stream: true }, {}, "fwd=miss"],
    [["--cache-ttl-s", "0"], {}, {}, "fwd=miss"],
    // Over a mebibyte of log-probabilities.
    [["--cache-mib", "1"], logged, {}, "fwd=miss"],
  ];
  for (const [args, body, headers, status] of cases) {
    await withGateway(async ({ chat, gateway, node }) => {
      node.script = (stream) => {
        const count = body === logged ? 3000 : 3;
        for (let i = 0; i < count; ++i) {
          const logprobs = body === logged ? [{ logprob: -1, top: [] }] : [];
          stream.tokens([97], { logprobs });
        }
        stream.finish();
      };
      const answer = await chat({ ...GREEDY, ...body }, { headers });
      await answer.text();
      assert.equal(answer.headers.get("cache-status"), `redraft; ${status}`);
      const isKept = gateway.services.cache.entryCount === 1;
      assert.equal(isKept, status.endsWith("stored"), status);
    }, { args });
  }
});

Deno.test("what may differ, or differs in anything that counts, is asked anew", async () => {
  await withGateway(async ({ chat, node }) => {
    await (await chat(GREEDY)).text();
    const others = [
      {},
      { temperature: 0.5 },
      { ...GREEDY, max_tokens: 5 },
      { ...GREEDY, stop: "x" },
      { ...GREEDY, logprobs: true },
      { ...GREEDY, logit_bias: { 1: 1 } },
      { ...GREEDY, presence_penalty: 1 },
      { ...GREEDY, messages: [{ role: "user", content: "Ho" }] },
      { ...GREEDY, speculation: { mode: "off" } },
      { seed: 1 },
      { seed: 2 },
    ];
    for (const other of others) await (await chat(other)).text();
    assert.equal(node.submits.length, 1 + others.length);
    const seeded = await chat({ seed: 2 });
    assert.equal(seeded.headers.get("x-redraft-cache"), "HIT");
    await seeded.body?.cancel();
  });
});

Deno.test("tenants never share an answer, nor a prefix", async () => {
  const keys = { alice: "sk-of-alice-0123", bob: "sk-of-bob-012345" };
  await withGateway(async ({ chat, node }) => {
    for (const key of Object.values(keys)) {
      const response = await chat(GREEDY, { headers: { authorization: `Bearer ${key}` } });
      assert.equal(response.headers.get("x-redraft-cache"), "MISS");
      await response.text();
    }
    assert.deepEqual(node.submits.map((submit) => submit.salt), ["alice", "bob"]);
  }, { env: { REDRAFT_API_KEYS: `alice=${keys.alice},bob=${keys.bob}` } });
});

Deno.test("Cache-Control is obeyed", async () => {
  await withGateway(async ({ chat, node }) => {
    const ask = async (control?: string) => {
      const headers: Record<string, string> = control ? { "cache-control": control } : {};
      const response = await chat(GREEDY, { headers });
      await response.text();
      return [response.status, response.headers.get("x-redraft-cache")];
    };
    assert.deepEqual(await ask("only-if-cached"), [504, null]);
    assert.deepEqual(await ask("no-store"), [200, "BYPASS"]);
    assert.deepEqual(await ask(), [200, "MISS"]);
    assert.deepEqual(await ask(), [200, "HIT"]);
    assert.deepEqual(await ask("no-cache"), [200, "REFRESH"]);
    assert.deepEqual(await ask("only-if-cached"), [200, "HIT"]);
    assert.deepEqual(await ask("max-age=60"), [200, "HIT"]);
    assert.equal(node.submits.length, 3);
  });
});

Deno.test("who names a lifetime has drawn answers held too, each choice by itself", async () => {
  await withGateway(async ({ chat, node }) => {
    let count = 0;
    node.script = (stream) => {
      stream.text(`answer ${++count}`);
      stream.finish();
    };
    const headers = { "x-redraft-cache-ttl": "60" };
    const ask = async () => {
      const response = await chat({ n: 2 }, { headers });
      const { choices } = await response.json();
      const texts = choices.map((choice: { message: { content: string } }) =>
        choice.message.content
      );
      return [response.headers.get("cache-status"), ...texts.sort()];
    };
    assert.deepEqual(await ask(), ["redraft; fwd=miss; stored", "answer 1", "answer 2"]);
    assert.deepEqual(await ask(), ["redraft; hit; ttl=60", "answer 1", "answer 2"]);
    await (await chat({ n: 2 })).text();
    assert.equal(count, 4);
  });
});

Deno.test("failed and abandoned answers are not held", async () => {
  await withGateway(async ({ chat, node }) => {
    const greeting = node.script;
    node.script = (stream) => {
      stream.text("half");
      stream.fail("engine", false);
    };
    assert.equal(await statusOf(await chat(GREEDY)), 502);
    node.script = greeting;
    const response = await chat(GREEDY);
    assert.equal(response.headers.get("x-redraft-cache"), "MISS");
    assert.equal((await response.json()).choices[0].message.content, "Hello, world!");
  });
});

Deno.test("identical requests under way share one generation from its beginning", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = async (stream) => {
      stream.text("one ");
      await new Promise((resolve) => setTimeout(resolve, 50));
      stream.text("two");
      stream.finish();
    };
    const answers = await Promise.all(
      Array.from({ length: 8 }, async () => (await chat({ ...GREEDY, n: 2 })).json()),
    );
    for (const { choices } of answers) {
      for (const { message } of choices) assert.equal(message.content, "one two");
    }
    assert.equal(node.submits.length, 1);
  });
});

Deno.test("without memory for answers nothing is held", async () => {
  await withGateway(async ({ chat, node, gateway }) => {
    await (await chat(GREEDY)).text();
    await (await chat(GREEDY)).text();
    assert.equal(node.submits.length, 2);
    assert.equal(gateway.services.cache.entryCount, 0);
  }, { args: ["--cache-mib", "0"] });
});
