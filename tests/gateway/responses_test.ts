import assert from "node:assert/strict";
import { PromptTooLongError } from "../../gateway/served_model.ts";
import {
  type Fixture,
  loadByteModel,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";

const ask = ({ post }: Fixture, body: Record<string, unknown> = {}) =>
  post("/v1/responses", { model: "scripted", input: "Hi", ...body });

// deno-lint-ignore no-explicit-any
type Event = any;

/** Events with their names, which must be the types that they carry. */
async function eventsOf(response: Response): Promise<Event[]> {
  const blocks = (await response.text()).split("\n\n").filter(Boolean);
  return blocks.map((block, i) => {
    const [, type, data] = /^event: (.*)\ndata: (.*)$/.exec(block)!;
    const event = JSON.parse(data!);
    assert.equal(event.type, type);
    assert.equal(event.sequence_number, i);
    return event;
  });
}

Deno.test("responses: a whole answer in the shape of the API", async () => {
  await withGateway(async (fixture) => {
    const instructions = "Be brief.";
    const input = [
      { role: "user", content: "One?" },
      {
        type: "message",
        id: "msg_1",
        status: "completed",
        role: "assistant",
        content: [{ type: "output_text", text: "Two.", annotations: [] }],
      },
      {
        role: "user",
        content: [{ type: "input_text", text: "Three" }, {
          type: "input_text",
          text: "?",
        }],
      },
    ];
    const http = await ask(fixture, { instructions, input, metadata: { a: "b" }, temperature: 0 });
    assert.equal(http.status, 200);
    const response = await http.json();
    assert.match(response.id, /^resp_/);
    assert.equal(response.object, "response");
    assert.equal(response.status, "completed");
    assert.equal(response.instructions, instructions);
    assert.deepEqual(response.metadata, { a: "b" });
    const [message] = response.output;
    assert.equal(message.role, "assistant");
    assert.deepEqual(message.content, [
      { type: "output_text", text: "Hello, world!", annotations: [], logprobs: [] },
    ]);
    const prompt = "system: Be brief.\nuser: One?\nassistant: Two.\nuser: Three?\n";
    assert.equal(response.usage.input_tokens, prompt.length);
    assert.equal(response.usage.output_tokens, 13);
    assert.equal(
      new TextDecoder().decode(Uint8Array.from(fixture.node.submits[0]!.tokens)),
      prompt,
    );
    // The same cache as the other routes', with its own shape.
    const held = await ask(fixture, { instructions, input, temperature: 0 });
    assert.equal(held.headers.get("x-redraft-cache"), "HIT");
    await held.text();
  });
});

Deno.test("responses: events in order, numbered, that join to the whole", async () => {
  await withGateway(async (fixture) => {
    const events = await eventsOf(await ask(fixture, { stream: true }));
    assert.deepEqual(events.map(({ type }) => type), [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.completed",
    ]);
    const text = events.map(({ delta }) => delta ?? "").join("");
    assert.equal(text, "Hello, world!");
    assert.equal(events[6].text, text);
    const { response } = events.at(-1);
    assert.equal(response.output[0].content[0].text, text);
    assert.equal(response.output[0].id, events[4].item_id);
    assert.equal(response.usage.output_tokens, 13);
    assert.equal(events[0].response.status, "in_progress");
  });
});

Deno.test("responses: a length limit is 'incomplete', a failure 'failed'", async () => {
  await withGateway(async (fixture) => {
    const { node } = fixture;
    node.script = (stream) => {
      stream.text("half");
      stream.finish("length");
    };
    const cut = await eventsOf(await ask(fixture, { stream: true, max_output_tokens: 4 }));
    assert.equal(cut.at(-1).type, "response.incomplete");
    assert.deepEqual(cut.at(-1).response.incomplete_details, { reason: "max_output_tokens" });
    node.script = (stream) => {
      stream.text("half");
      stream.fail("internal", false);
    };
    const failed = await eventsOf(await ask(fixture, { stream: true }));
    assert.equal(failed.at(-1).type, "response.failed");
    assert.equal(failed.at(-1).response.error.code, "upstream_error");
    assert.ok(failed.every(({ type }) => !/completed|output_text\.done/.test(type)));
    assert.equal((await (await ask(fixture)).json()).error.code, "upstream_error");
    await waitUntil(() => fixture.gateway.services.activeCount === 0, "nothing left");
  });
});

Deno.test("responses: log-probabilities where they are asked for", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => {
      assert.equal(stream.submit.sampling.logprobs, 2);
      stream.tokens([104], { logprobs: [{ logprob: -0.5, top: [[104, -0.5]] }] });
      stream.finish();
    };
    const include = ["message.output_text.logprobs"];
    const body = await (await ask(fixture, { include, top_logprobs: 1 })).json();
    const [entry] = body.output[0].content[0].logprobs;
    assert.equal(entry.token, "h");
    assert.equal(entry.top_logprobs[0].logprob, -0.5);
  });
});

Deno.test("responses: a prompt past the context is told of 'input'", async () => {
  const small = { nodes: [{ contextMax: 64 }] };
  const long = { input: "x".repeat(100) };
  await withGateway(async (fixture) => {
    const { error } = await (await ask(fixture, long)).json();
    assert.equal(error.code, "context_length_exceeded");
    assert.equal(error.param, "input");
    assert.equal(error.n_ctx, 64);
    assert.equal(fixture.node.submits.length, 0);
  }, small);
  // A tokenizer that gives up early knows the least count alone.
  const loadModel: typeof loadByteModel = async (card, pageTokens, json) => ({
    ...await loadByteModel(card, pageTokens, json),
    renderAndEncode: () => {
      throw new PromptTooLongError(65);
    },
  });
  await withGateway(async (fixture) => {
    const { error } = await (await ask(fixture, long)).json();
    assert.equal(error.param, "input");
    assert.match(error.message, /at least 65 tokens/);
  }, { ...small, loadModel });
});

Deno.test("a node's refusal of a prompt names the field of each route that shares it", async () => {
  await withGateway(async (fixture) => {
    const { node, chat } = fixture;
    // Nothing is refused before both wait for the one generation.
    node.script = async (stream) => {
      await waitUntil(() => fixture.gateway.services.activeCount === 2, "both wait");
      stream.fail("context_overflow", false);
    };
    const [byChat, byResponses] = await Promise.all([
      chat({ temperature: 0 }),
      ask(fixture, { temperature: 0 }),
    ]);
    const params = [byChat, byResponses].map(async (response) => {
      assert.equal(response.status, 400);
      return (await response.json()).error.param;
    });
    assert.deepEqual(await Promise.all(params), ["messages", "input"]);
    assert.equal(node.submits.length, 1, "they shared it");
  });
});

Deno.test("responses: what is not here is refused by its name", async () => {
  await withGateway(async (fixture) => {
    const cases: Array<[Record<string, unknown>, string]> = [
      [{ input: undefined }, "input"],
      [{ input: [] }, "input"],
      [{ input: 7 }, "input"],
      [{ input: [{ role: "boss", content: "" }] }, "input[0].role"],
      [{ input: [{ role: "user" }] }, "input[0].content"],
      [{ input: [{ type: "item_reference", id: "x" }] }, "input[0].type"],
      [
        { input: [{ role: "user", content: [{ type: "input_image" }] }] },
        "input[0].content[0].type",
      ],
      [{ store: true }, "store"],
      [{ background: true }, "background"],
      [{ previous_response_id: "resp_1" }, "previous_response_id"],
      [{ conversation: "conv_1" }, "conversation"],
      [{ tools: [{ type: "web_search" }] }, "tools[0].type"],
      [{ tools: [{ type: "function" }] }, "tools[0].name"],
      [{ tool_choice: "required" }, "tool_choice"],
      [{ input: [{ type: "function_call", name: "f", arguments: "{}" }] }, "input[0].call_id"],
      [{ input: [{ type: "function_call_output", call_id: "c" }] }, "input[0].output"],
      [{ text: { format: { type: "json_schema" } } }, "text.format.name"],
      [
        { text: { format: { type: "json_schema", name: "n", schema: { not: {} } } } },
        "text.format.schema.not",
      ],
      [{ truncation: "auto" }, "truncation"],
      [{ reasoning: { effort: "high" } }, "reasoning.effort"],
      [{ include: ["file_search_call.results"] }, "include[0]"],
      [{ top_logprobs: 3 }, "top_logprobs"],
      [{ max_output_tokens: 0 }, "max_output_tokens"],
      [{ metadata: { a: 1 } }, "metadata.a"],
      [{ n: 2 }, "n"],
      [{ stream_options: { include_usage: true } }, "stream_options.include_usage"],
    ];
    for (const [body, param] of cases) {
      const response = await ask(fixture, body);
      const { error } = await response.json();
      assert.equal(response.status, 400, param);
      assert.equal(error.param, param);
    }
    assert.equal(fixture.node.submits.length, 0);
    const nothing = { store: false, tools: [], tool_choice: "auto", reasoning: { effort: null } };
    const response = await ask(fixture, { ...nothing, truncation: "disabled", include: [] });
    assert.equal(response.status, 200, await response.text());
  });
});
