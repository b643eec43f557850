/** Tools on the HTTP surface: what goes to the node, and how its calls come back. */
import assert from "node:assert/strict";
import { type Fixture, readChunks, statusOf, withGateway } from "../support/scripted_gateway.ts";

const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const FUNCTION = { name: "get_weather", description: "Weather of a city.", parameters: SCHEMA };
const TOOLS = [{ type: "function", function: FUNCTION }];
const ARGUMENTS = '{"city": "Paris"}';
const CALL = `<tool_call>\n{"name": "get_weather", "arguments": ${ARGUMENTS}}\n</tool_call>`;

function answers(fixture: Fixture, ...texts: string[]): void {
  fixture.node.script = (stream) => {
    for (const text of texts) stream.text(text);
    stream.finish();
  };
}

Deno.test("a call comes whole, with its finish reason", async () => {
  await withGateway(async (fixture) => {
    answers(fixture, `Let me see.\n${CALL}`);
    const body = await (await fixture.chat({ tools: TOOLS })).json();
    const [{ message, finish_reason }] = body.choices;
    assert.equal(finish_reason, "tool_calls");
    assert.equal(message.content, "Let me see.");
    const [call] = message.tool_calls;
    assert.match(call.id, /^call_[0-9a-f]{24}$/);
    assert.deepEqual({ ...call, id: "" }, {
      id: "",
      type: "function",
      function: { name: "get_weather", arguments: ARGUMENTS },
    });
    // Nothing of it binds the model: it may call, and it may err.
    assert.equal(fixture.node.submits[0]!.schema, undefined);
    answers(fixture, CALL);
    const alone = await (await fixture.chat({ tools: TOOLS })).json();
    assert.equal(alone.choices[0].message.content, null);
    answers(fixture, "No need.");
    const [free] = (await (await fixture.chat({ tools: TOOLS })).json()).choices;
    assert.equal(free.finish_reason, "stop");
    assert.deepEqual(Object.keys(free.message), ["role", "content", "refusal", "annotations"]);
  });
});

Deno.test("a call streams as deltas, however its text is cut", async () => {
  await withGateway(async (fixture) => {
    for (const size of [1, 3, 1000]) {
      const texts = (`So:\n${CALL}\n${CALL}`).match(new RegExp(`.{1,${size}}`, "gs"))!;
      answers(fixture, ...texts);
      const asked = { tools: TOOLS, stream: true, stream_options: { include_usage: true } };
      const chunks = await readChunks(await fixture.chat(asked));
      assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: null });
      const deltas = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta);
      assert.equal(deltas.map(({ content }) => content ?? "").join(""), "So:");
      // deno-lint-ignore no-explicit-any
      const calls: any[] = [];
      for (const part of deltas.flatMap((delta) => delta.tool_calls ?? [])) {
        if (part.id === undefined) calls[part.index].arguments += part.function.arguments;
        else {
          assert.equal(part.index, calls.length);
          assert.equal(part.type, "function");
          calls.push({ ...part.function, id: part.id });
        }
      }
      assert.equal(new Set(calls.map(({ id }) => id)).size, 2);
      for (const call of calls) {
        assert.equal(call.name, "get_weather");
        assert.equal(call.arguments, ARGUMENTS);
      }
      assert.equal(chunks.at(-2).choices[0].finish_reason, "tool_calls");
      assert.equal(chunks.at(-1).usage.completion_tokens, texts.join("").length);
    }
  });
});

Deno.test("a choice of tools becomes the form that the node keeps", async () => {
  await withGateway(async (fixture) => {
    const other = { type: "function", function: { name: "now" } };
    const strict = { type: "function", function: { ...FUNCTION, strict: true } };
    const formOf = async (body: Record<string, unknown>) => {
      answers(fixture, CALL);
      const response = await fixture.chat(body);
      assert.equal(response.status, 200, await response.text());
      const { schema } = fixture.node.submits.at(-1)!;
      return schema === undefined ? undefined : JSON.parse(schema).tool_calls;
    };
    const tools = [...TOOLS, other];
    const weather = { name: "get_weather", parameters: SCHEMA, strict: false };
    const now = { name: "now", parameters: null, strict: false };
    assert.deepEqual(await formOf({ tools, tool_choice: "required" }), {
      tools: [weather, now],
      calls_max: 8,
    });
    const single = { tools, tool_choice: "required", parallel_tool_calls: false };
    assert.deepEqual(await formOf(single), { tools: [weather, now], calls_max: 1 });
    const named = { type: "function", function: { name: "now" } };
    assert.deepEqual(await formOf({ tools, tool_choice: named }), { tools: [now], calls_max: 1 });
    assert.equal(await formOf({ tools, tool_choice: "none" }), undefined);
    assert.equal(await formOf({ tools, tool_choice: "auto" }), undefined);
    assert.deepEqual(await formOf({ tools: [strict] }), {
      tools: [{ ...weather, strict: true }],
      calls_max: 8,
      content: { kind: "text" },
    });
    const schema = { type: "object", properties: {}, additionalProperties: false };
    const response_format = { type: "json_schema", json_schema: { name: "x", schema } };
    assert.deepEqual((await formOf({ tools: TOOLS, response_format })).content, {
      kind: "schema",
      schema,
    });
  });
});

Deno.test("the answer's one call ends it, and tool calls are not held", async () => {
  await withGateway(async (fixture) => {
    answers(fixture, `${CALL}\n${CALL}`);
    const body = { tools: TOOLS, parallel_tool_calls: false, temperature: 0 };
    for (let i = 0; i < 2; i++) {
      const response = await fixture.chat(body);
      assert.equal(response.headers.get("x-redraft-cache"), "BYPASS");
      const { choices } = await response.json();
      assert.equal(choices[0].message.tool_calls.length, 1);
    }
    const headers = { "x-redraft-cache-ttl": "60" };
    await (await fixture.chat(body, { headers })).text();
    const held = await fixture.chat(body, { headers });
    assert.equal(held.headers.get("x-redraft-cache"), "HIT");
    assert.equal((await held.json()).choices[0].finish_reason, "tool_calls");
  });
});

Deno.test("calls and results of earlier turns are taken back", async () => {
  await withGateway(async (fixture) => {
    const calls = [{
      id: "call_1",
      type: "function",
      function: { name: "get_weather", arguments: ARGUMENTS },
    }];
    const messages = [
      { role: "user", content: "Weather?" },
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", tool_call_id: "call_1", content: [{ type: "text", text: "Sunny." }] },
    ];
    assert.equal(await statusOf(await fixture.chat({ messages, tools: TOOLS })), 200);
    assert.match(fixture.node.streams.size.toString(), /^\d$/);
    const call = (change: Record<string, unknown>) => [{ ...calls[0], ...change }];
    for (
      const [message, param] of [
        [{ role: "tool", content: "x" }, "messages[0].tool_call_id"],
        [{ role: "tool", tool_call_id: "c" }, "messages[0].content"],
        [{ role: "user", content: "x", tool_calls: calls }, "messages[0].tool_calls"],
        [{ role: "user", content: "x", tool_call_id: "c" }, "messages[0].tool_call_id"],
        [{ role: "assistant", tool_calls: [] }, "messages[0].content"],
        [{ role: "assistant", tool_calls: call({ id: 7 }) }, "messages[0].tool_calls[0].id"],
        [
          { role: "assistant", tool_calls: call({ type: "custom" }) },
          "messages[0].tool_calls[0].type",
        ],
        [
          { role: "assistant", tool_calls: call({ function: { name: "f" } }) },
          "messages[0].tool_calls[0].function.arguments",
        ],
      ] as const
    ) {
      const response = await fixture.chat({ messages: [message] });
      assert.equal((await response.json()).error.param, param);
      assert.equal(response.status, 400);
    }
  });
});

Deno.test("what is wrong with tools is a 400 that names it", async () => {
  await withGateway(async (fixture) => {
    const tool = (change: Record<string, unknown>) => ({
      type: "function",
      function: { ...FUNCTION, ...change },
    });
    const deep = { type: "string", pattern: "(a)\\1" };
    const properties = { city: deep };
    for (
      const [body, param] of [
        [{ tools: 7 }, "tools"],
        [{ tools: [{ type: "custom" }] }, "tools[0].type"],
        [{ tools: [tool({ name: "a b" })] }, "tools[0].function.name"],
        [{ tools: [tool({ parameters: "x" })] }, "tools[0].function.parameters"],
        [{ tools: [tool({ extra: 1 })] }, "tools[0].function.extra"],
        [{ tools: [...TOOLS, ...TOOLS] }, "tools[1]"],
        [{ tools: new Array(129).fill(TOOLS[0]) }, "tools"],
        [{ tool_choice: "required" }, "tool_choice"],
        [{ tools: TOOLS, tool_choice: "any" }, "tool_choice"],
        [{ tools: TOOLS, tool_choice: { type: "allowed_tools" } }, "tool_choice.type"],
        [{ tools: TOOLS, tool_choice: { type: "function" } }, "tool_choice.function"],
        [
          { tools: TOOLS, tool_choice: { type: "function", function: { name: "x" } } },
          "tool_choice",
        ],
        [{ tools: TOOLS, parallel_tool_calls: 1 }, "parallel_tool_calls"],
        [
          { tools: [tool({ strict: true, parameters: { type: "object", properties } })] },
          "tools[0].function.parameters.properties.city.pattern",
        ],
        [
          {
            tools: [tool({ parameters: { type: "object", enum: ["x".repeat(70_000)] } })],
            tool_choice: "required",
          },
          "tools",
        ],
        [{ tools: TOOLS, tool_choice: "required", ignore_eos: true }, "ignore_eos"],
      ] as const
    ) {
      const response = await fixture.chat(body);
      assert.equal((await response.json()).error.param, param);
      assert.equal(response.status, 400);
    }
    assert.equal(fixture.node.submits.length, 0);
    // Not strict: what a grammar cannot keep is left to the model.
    answers(fixture, CALL);
    const loose = { tools: [tool({ parameters: { type: "object", properties } })] };
    const response = await fixture.chat({ ...loose, tool_choice: "required" });
    assert.equal(response.status, 200);
    assert.equal((await response.json()).choices[0].finish_reason, "tool_calls");
  });
});

Deno.test("an answer cut short inside a call says so", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => {
      stream.text(CALL.slice(0, CALL.indexOf("Paris")));
      stream.finish("length");
    };
    const [choice] = (await (await fixture.chat({ tools: TOOLS })).json()).choices;
    assert.equal(choice.finish_reason, "length");
    assert.equal(choice.message.tool_calls[0].function.arguments, '{"city": "');
  });
});

Deno.test("no markup is shown of a call that is cut before its name", async () => {
  await withGateway(async (fixture) => {
    const head = '<tool_call>\n{"name": "';
    const asked = { tools: TOOLS, tool_choice: "required", max_tokens: 10 };
    for (const [said, callCount] of [[head, 0], [`${CALL}\n${head}`, 1]] as const) {
      fixture.node.script = (stream) => {
        for (const text of said.match(/.{1,5}/gs)!) stream.text(text);
        stream.finish("length");
      };
      for (const tool_choice of ["required", "auto"]) {
        const body = { ...asked, tool_choice };
        const [{ message, finish_reason }] = (await (await fixture.chat(body)).json()).choices;
        assert.equal(message.content ?? "", "");
        assert.equal(message.tool_calls?.length ?? 0, callCount);
        assert.equal(finish_reason, "length");
        const chunks = await readChunks(await fixture.chat({ ...body, stream: true }));
        const choices = chunks.map(({ choices }) => choices[0]);
        assert.equal(choices.map(({ delta }) => delta.content ?? "").join(""), "");
        assert.equal(choices.at(-1).finish_reason, "length");
      }
    }
    fixture.node.script = (stream) => {
      stream.text("1 <");
      stream.finish("length");
    };
    const [{ message }] = (await (await fixture.chat({ tools: TOOLS })).json()).choices;
    assert.equal(message.content, "1 <");
  });
});

Deno.test("text completions take response_format and no tools", async () => {
  await withGateway(async (fixture) => {
    const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
    const response_format = { type: "json_schema", json_schema: { name: "x", schema } };
    const asked = { model: "scripted", prompt: "Hi", response_format };
    assert.equal(await statusOf(await fixture.post("/v1/completions", asked)), 200);
    assert.deepEqual(JSON.parse(fixture.node.submits[0]!.schema!), schema);
    const response = await fixture.post("/v1/completions", { ...asked, tools: TOOLS });
    assert.equal((await response.json()).error.param, "tools");
  });
});
