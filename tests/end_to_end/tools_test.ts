/** Calls of tools by the real model, through both processes. */
import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { Served } from "../support/served.ts";
import { readStream } from "../support/sse.ts";

const WEATHER = {
  type: "object",
  properties: {
    city: { type: "string", maxLength: 20 },
    unit: { enum: ["celsius", "fahrenheit"] },
    days: { type: "integer" },
  },
  required: ["city", "unit"],
  additionalProperties: false,
};
const TOOLS = [
  {
    type: "function",
    function: { name: "get_weather", description: "Weather of a city.", parameters: WEATHER },
  },
  { type: "function", function: { name: "get_time", description: "The time now." } },
];

interface Call {
  id: string;
  function: { name: string; arguments: string };
}

function chat(served: Served, more: Record<string, unknown>) {
  return {
    model: served.model,
    messages: [{ role: "user", content: "What is the weather in Paris, in Celsius?" }],
    max_tokens: 400,
    tools: TOOLS,
    ...more,
  };
}

// deno-lint-ignore no-explicit-any
function argumentsOf(choice: any): string[] {
  return choice.message.tool_calls.map((call: Call) => call.function.arguments);
}

async function argumentsStreamed(served: Served, body: object): Promise<string[]> {
  const response = await served.post("/v1/chat/completions", { ...body, stream: true });
  const calls: string[] = [];
  for (const { choices } of (await readStream(response)).events) {
    for (const part of choices[0]?.delta.tool_calls ?? []) {
      calls[part.index] = (calls[part.index] ?? "") + part.function.arguments;
    }
  }
  return calls;
}

/** Of each call, as one event tells it. */
async function argumentsOverSocket(served: Served, response: unknown): Promise<string[]> {
  const socket = new WebSocket(`${served.url.replace("http", "ws")}/v1/generate`);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  const calls: string[] = [];
  const ended = Promise.withResolvers<string>();
  socket.onopen = () =>
    socket.send(JSON.stringify({ type: "response.create", response, cache_control: "no-store" }));
  socket.onmessage = ({ data }) => {
    const event = JSON.parse(data);
    if (event.type === "response.function_call_arguments.done") calls.push(event.arguments);
    if (event.type === "response.output_text.done") ended.resolve(event.finish_reason);
    if (/^(error|response\.failed)$/.test(event.type)) ended.reject(new Error(data));
  };
  assert.equal(await ended.promise, "tool_calls");
  socket.close();
  await closed;
  return calls;
}

const validate = new Ajv().compile(WEATHER);

/** Every call's arguments are by its tool's schema. */
function check(calls: Call[]): void {
  assert(calls.length > 0);
  for (const { function: { name, arguments: text } } of calls) {
    const values = JSON.parse(text);
    if (name === "get_time") assert.deepEqual(values, {});
    else assert(validate(values), `${text}: ${JSON.stringify(validate.errors)}`);
  }
}

Deno.test("tools through gateway and node", async (t) => {
  await using served = await Served.start();
  const answer = async (more: Record<string, unknown>) => {
    const response = await served.post("/v1/chat/completions", chat(served, more));
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.choices[0];
  };

  await t.step("calls that are asked for are made, greedy and sampled", async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const temperature = seed === 1 ? 0 : 0.9;
      const asked = { tool_choice: "required", temperature, seed, parallel_tool_calls: seed > 3 };
      const { message, finish_reason } = await answer(asked);
      assert.equal(finish_reason, "tool_calls", JSON.stringify(message));
      assert.equal(message.content, null);
      check(message.tool_calls);
    }
  });

  await t.step("the tool that is named is called", async () => {
    for (const name of ["get_time", "get_weather"]) {
      const tool_choice = { type: "function", function: { name } };
      const { message } = await answer({ tool_choice, temperature: 1, seed: 9 });
      assert.deepEqual(message.tool_calls.map((call: Call) => call.function.name), [name]);
      check(message.tool_calls);
    }
  });

  await t.step("streams have the same calls, and so has no speculation", async () => {
    const asked = { tool_choice: "required", temperature: 0.8, seed: 3 };
    const own = argumentsOf(await answer(asked));
    assert.deepEqual(await argumentsStreamed(served, chat(served, asked)), own);
    assert.deepEqual(await argumentsOverSocket(served, chat(served, asked)), own);
    const plain = await answer({ ...asked, speculation: { mode: "off" } });
    assert.deepEqual(argumentsOf(plain), own);
  });

  await t.step("a strict tool may be called, never wrongly", async () => {
    const [weather] = TOOLS;
    const tools = [{ ...weather, function: { ...weather!.function, strict: true } }];
    for (const seed of [1, 2, 3]) {
      const { message } = await answer({ tools, seed, temperature: 0.7, max_tokens: 120 });
      if (message.tool_calls !== undefined) check(message.tool_calls);
      else assert(!message.content.includes("<tool_call>"), message.content);
    }
  });

  await t.step("a conversation goes on after a call", async () => {
    const { message } = await answer({ tool_choice: "required", temperature: 0 });
    const results = message.tool_calls.map(({ id }: Call) => ({
      role: "tool",
      tool_call_id: id,
      content: "Sunny, 21 degrees.",
    }));
    const messages = [...chat(served, {}).messages, message, ...results];
    const next = await answer({ messages, tools: undefined, temperature: 0, max_tokens: 40 });
    assert(next.message.content.length > 0);
  });
});
