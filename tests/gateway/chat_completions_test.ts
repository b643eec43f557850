import assert from "node:assert/strict";
import { readChunks, withGateway } from "../support/scripted_gateway.ts";

Deno.test("chat answers whole, with usage and our headers", async () => {
  await withGateway(async ({ chat, node }) => {
    const response = await chat({ temperature: 0.5, seed: -1, max_tokens: 32 });
    assert.equal(response.status, 200);
    const body = await response.json();
    assert.equal(body.object, "chat.completion");
    assert.match(body.id, /^chatcmpl-/);
    assert.deepEqual(body.choices, [{
      index: 0,
      message: { role: "assistant", content: "Hello, world!", refusal: null, annotations: [] },
      logprobs: null,
      finish_reason: "stop",
    }]);
    assert.equal(body.usage.prompt_tokens, "user: Hi\n".length);
    assert.equal(body.usage.completion_tokens, 13);
    assert.equal(body.usage.total_tokens, 22);
    assert.equal(body.usage.completion_tokens_details.accepted_prediction_tokens, 4);
    assert.equal(body.usage.completion_tokens_details.rejected_prediction_tokens, 4);
    assert.deepEqual(body.usage.redraft, { steps: 2, tokens_per_step: 6.5 });
    assert.match(response.headers.get("x-request-id")!, /^req_[0-9a-f]{32}$/);
    assert.match(response.headers.get("server-timing")!, /gateway;dur=/);
    assert.match(response.headers.get("openai-processing-ms")!, /^\d+$/);
    assert.equal(response.headers.get("cache-control"), "private, no-store");
    const [submit] = node.submits;
    assert.equal(submit!.tokensMax, 32);
    assert.equal(submit!.sampling.temperature, 0.5);
    assert.deepEqual([submit!.sampling.seedLow, submit!.sampling.seedHigh], [
      2 ** 32 - 1,
      2 ** 32 - 1,
    ]);
    assert.deepEqual(submit!.stopTokens, [256]);
  });
});

Deno.test("chat streams a role, the text, a finish, the usage and [DONE]", async () => {
  await withGateway(async ({ chat }) => {
    const response = await chat({ stream: true, stream_options: { include_usage: true } });
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    assert.equal(response.headers.get("x-accel-buffering"), "no");
    const chunks = await readChunks(response);
    assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "" });
    const text = chunks.flatMap((c) => c.choices).map((c) => c.delta.content ?? "").join("");
    assert.equal(text, "Hello, world!");
    const finish = chunks.at(-2);
    assert.deepEqual(finish.choices[0].delta, {});
    assert.equal(finish.choices[0].finish_reason, "stop");
    for (const chunk of chunks.slice(0, -1)) assert.equal(chunk.usage, null);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, 13);
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  });
});

Deno.test("a stop string across frames ends the answer and cancels the node", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = (stream) => {
      stream.text("one EN");
      stream.text("D two");
    };
    for (const stream of [false, true]) {
      const response = await chat({ stop: ["END"], stream });
      if (stream) {
        const chunks = await readChunks(response);
        assert.equal(chunks.map((c) => c.choices[0].delta.content ?? "").join(""), "one ");
        assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
      } else {
        const body = await response.json();
        assert.equal(body.choices[0].message.content, "one ");
        assert.equal(body.usage.completion_tokens, 7);
      }
    }
    assert.equal(node.cancels.length, 2);
    assert.equal(node.streams.size, 0);
  });
});

Deno.test("text held back for a stop string is shown when none came", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = (stream) => {
      stream.text("the EN");
      stream.finish("length");
    };
    const body = await (await chat({ stop: "END" })).json();
    assert.equal(body.choices[0].message.content, "the EN");
    assert.equal(body.choices[0].finish_reason, "length");
  });
});

Deno.test("a character in two frames is not split", async () => {
  await withGateway(async ({ chat, node }) => {
    const bytes = [...new TextEncoder().encode("a\u{1F600}b")];
    node.script = (stream) => {
      for (const byte of bytes) stream.tokens([byte]);
      stream.finish();
    };
    const chunks = await readChunks(await chat({ stream: true }));
    const texts = chunks.map((c) => c.choices[0].delta.content ?? "");
    assert.equal(texts.join(""), "a\u{1F600}b");
    assert.ok(texts.every((text) => text.isWellFormed()));
  });
});

Deno.test("log-probabilities come with their tokens, in chunks and whole", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = (stream) => {
      stream.tokens([72, 105], {
        logprobs: [
          { logprob: -0.5, top: [[72, -0.5], [74, -1.5]] },
          { logprob: -0.25, top: [[105, -0.25], [106, -Infinity]] },
        ],
      });
      stream.finish();
    };
    const body = await (await chat({ logprobs: true, top_logprobs: 2 })).json();
    const [first, second] = body.choices[0].logprobs.content;
    assert.deepEqual(first, {
      token: "H",
      logprob: -0.5,
      bytes: [72],
      top_logprobs: [
        { token: "H", logprob: -0.5, bytes: [72] },
        { token: "J", logprob: -1.5, bytes: [74] },
      ],
    });
    assert.equal(second.top_logprobs[1].logprob, -9999);
    assert.equal(node.submits[0]!.sampling.logprobs, 3);
    const chunks = await readChunks(await chat({ logprobs: true, top_logprobs: 2, stream: true }));
    const entries = chunks.flatMap((c) => c.choices[0].logprobs?.content ?? []);
    assert.deepEqual(entries, body.choices[0].logprobs.content);
  });
});

Deno.test("n choices are n generations with different seeds", async () => {
  await withGateway(async ({ chat, node }) => {
    const body = await (await chat({ n: 3, seed: 7 })).json();
    assert.deepEqual(body.choices.map((c: { index: number }) => c.index), [0, 1, 2]);
    assert.deepEqual(node.submits.map((s) => s.sampling.seedLow), [7, 8, 9]);
    const chunks = await readChunks(await chat({ n: 2, stream: true }));
    const finishes = chunks.filter((c) => c.choices[0].finish_reason !== null);
    assert.deepEqual(finishes.map((c) => c.choices[0].index).sort(), [0, 1]);
  });
});

Deno.test("speculation reaches the node, and a trace comes back", async () => {
  await withGateway(async ({ chat, node }) => {
    const tree = [
      { token: 72, parent: -1, logprob: 0, accepted: true },
      { token: 105, parent: 0, logprob: -0.5, accepted: true },
    ];
    node.script = (stream) => {
      const steps = [{ tokenCount: 2, draftedCount: 1, acceptedCount: 1, tree }];
      stream.tokens([72, 105], { steps });
      stream.finish();
    };
    const speculation = {
      mode: "fixed",
      beam_width: 2,
      beam_length: 3,
      packed_max: 4,
      trace: true,
    };
    const chunks = await readChunks(await chat({ speculation, stream: true, temperature: 0 }));
    const traced = chunks.flatMap((c) => c.choices[0].redraft?.steps ?? []);
    assert.equal(traced.length, 1);
    assert.equal(traced[0].drafted_count, 1);
    const tokens = chunks.flatMap((c) => c.choices[0].redraft?.tokens ?? []);
    assert.deepEqual(tokens, [{ token: 72, end: 1 }, { token: 105, end: 2 }]);
    assert.deepEqual(traced[0].tree[1], {
      token: 105,
      text: "i",
      parent: 0,
      logprob: -0.5,
      accepted: true,
    });
    assert.deepEqual(node.submits[0]!.speculation, {
      mode: "fixed",
      beamWidth: 2,
      beamLength: 3,
      packedMax: 4,
      wantTree: true,
    });
  });
});

Deno.test("obfuscation pads every chunk to one of few sizes", async () => {
  await withGateway(async ({ chat }) => {
    const options = { include_obfuscation: true };
    const chunks = await readChunks(await chat({ stream: true, stream_options: options }));
    for (const chunk of chunks) {
      const text = chunk.choices[0].delta.content ?? "";
      assert.equal((text.length + chunk.obfuscation.length) % 64, 0);
    }
  });
});

Deno.test("credit comes as the reader takes tokens, and never more than asked for", async () => {
  await withGateway(async ({ chat, node }) => {
    let most = 0;
    node.script = async (stream) => {
      while (stream.sent < 3000) {
        if (stream.credit <= stream.sent) {
          await stream.changed();
          continue;
        }
        const count = Math.min(500, stream.credit - stream.sent, 3000 - stream.sent);
        stream.tokens(new Array(count).fill(97), { steps: [] });
        most = Math.max(most, stream.credit);
      }
      stream.finish("length");
    };
    const body = await (await chat({ max_tokens: 3000 })).json();
    assert.equal(body.usage.completion_tokens, 3000);
    assert.ok(most <= 3000);
  });
});
