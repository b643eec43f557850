import assert from "node:assert/strict";
import { readChunks, readEvents, withGateway } from "../support/scripted_gateway.ts";

const BODY = { model: "scripted", prompt: "Once" };

Deno.test("completions answer whole and streamed", async () => {
  await withGateway(async ({ post, node }) => {
    const body = await (await post("/v1/completions", BODY)).json();
    assert.equal(body.object, "text_completion");
    assert.match(body.id, /^cmpl-/);
    assert.deepEqual(body.choices, [
      { index: 0, text: "Hello, world!", logprobs: null, finish_reason: "stop" },
    ]);
    assert.equal(node.submits[0]!.tokensMax, 16);
    const chunks = await readChunks(await post("/v1/completions", { ...BODY, stream: true }));
    assert.equal(chunks.map((c) => c.choices[0].text).join(""), "Hello, world!");
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  });
});

Deno.test("several prompts, as text and as tokens, echoed", async () => {
  await withGateway(async ({ post, node }) => {
    const body = { ...BODY, prompt: ["ab", [99, 100]], n: 2, echo: true };
    const { choices, usage } = await (await post("/v1/completions", body)).json();
    assert.deepEqual(choices.map((c: { text: string }) => c.text), [
      "abHello, world!",
      "abHello, world!",
      "cdHello, world!",
      "cdHello, world!",
    ]);
    assert.equal(usage.prompt_tokens, 4);
    assert.equal(node.submits.length, 4);
    const chunks = await readChunks(await post("/v1/completions", { ...body, stream: true }));
    for (const index of [0, 3]) {
      const text = chunks.filter((c) => c.choices[0].index === index).map((c) => c.choices[0].text);
      assert.equal(text.join(""), index === 0 ? "abHello, world!" : "cdHello, world!");
    }
    const ids = await (await post("/v1/completions", { ...BODY, prompt: [97, 98] })).json();
    assert.equal(ids.usage.prompt_tokens, 2);
  });
});

Deno.test("log-probabilities have offsets", async () => {
  await withGateway(async ({ post, node }) => {
    node.script = (stream) => {
      const logprobs = [72, 105].map((token) => ({ logprob: -1, top: [[token, -1] as const] }));
      stream.tokens([72, 105], { logprobs });
      stream.finish();
    };
    const { choices } = await (await post("/v1/completions", { ...BODY, logprobs: 1 })).json();
    assert.deepEqual(choices[0].logprobs, {
      tokens: ["H", "i"],
      token_logprobs: [-1, -1],
      top_logprobs: [{ H: -1 }, { i: -1 }],
      text_offset: [0, 1],
    });
  });
});

Deno.test("what completions do not take is named", async () => {
  await withGateway(async ({ post }) => {
    for (
      const [more, param] of [
        [{ suffix: "end" }, "suffix"],
        [{ best_of: 3 }, "best_of"],
        [{ echo: true, logprobs: 1 }, "logprobs"],
        [{ prompt: [] }, "prompt"],
        [{ prompt: "" }, "prompt"],
        [{ prompt: [1, "a"] }, "prompt[1]"],
        [{ prompt: [999] }, "prompt[0]"],
        [{ prompt: { a: 1 } }, "prompt"],
        [{ prompt: Array(64).fill("a"), n: 2 }, "n"],
        [{ messages: [] }, "messages"],
      ] as const
    ) {
      const response = await post("/v1/completions", { ...BODY, ...more });
      assert.equal(response.status, 400);
      assert.equal((await response.json()).error.param, param);
    }
  });
});

Deno.test("a prompt past the context is told of 'prompt', by whomever", async () => {
  await withGateway(async ({ post, node }) => {
    const paramOf = async (more: Record<string, unknown>) => {
      const response = await post("/v1/completions", { ...BODY, ...more });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.code], [400, "context_length_exceeded"]);
      return error.param;
    };
    const long = "x".repeat(100);
    assert.equal(await paramOf({ prompt: long }), "prompt");
    assert.equal(await paramOf({ prompt: [long, "a"] }), "prompt[0]");
    assert.equal(await paramOf({ prompt: ["a", long] }), "prompt[1]");
    node.script = (stream) => stream.fail("context_overflow", false);
    assert.equal(await paramOf({}), "prompt");
    // Of two, the second is refused once the first has begun: the stream tells which.
    node.script = (stream) => {
      if (stream.submit.tokens[0] === 97) return stream.text("one ");
      setTimeout(() => stream.fail("context_overflow", false), 50);
    };
    const body = { ...BODY, prompt: ["a", "b"], stream: true };
    const events = await readEvents(await post("/v1/completions", body));
    assert.equal(events.pop(), "[DONE]");
    assert.equal(JSON.parse(events.pop()!).error.param, "prompt[1]");
  }, { nodes: [{ contextMax: 64 }] });
});
