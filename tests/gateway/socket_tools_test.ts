/** Tools and forms on the WebSocket: the same work for the node, and the calls as events. */
import assert from "node:assert/strict";
import {
  chatBody,
  encodeBytes,
  type Fixture,
  statusOf,
  withGateway,
} from "../support/scripted_gateway.ts";

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

// deno-lint-ignore no-explicit-any
type Event = any;

/** The events of each body on one WebSocket, in their order. */
async function askSocket(url: string, bodies: Record<string, unknown>[]): Promise<Event[][]> {
  const socket = new WebSocket(`${url.replace("http", "ws")}/v1/generate`);
  const closed = new Promise((resolve) => socket.onclose = resolve);
  await new Promise((resolve) => socket.onopen = resolve);
  const answers: Event[][] = [];
  for (const body of bodies) {
    const events: Event[] = [];
    const ended = new Promise<void>((resolve) => {
      socket.onmessage = ({ data }) => {
        const event = JSON.parse(data);
        events.push(event);
        if (/^(error|response\.(completed|incomplete|failed))$/.test(event.type)) resolve();
      };
    });
    socket.send(JSON.stringify({ type: "response.create", response: chatBody(body) }));
    await ended;
    answers.push(events);
  }
  socket.close();
  await closed;
  return answers;
}

Deno.test("a call comes over a WebSocket, however its text is cut", async () => {
  await withGateway(async (fixture) => {
    for (const size of [1, 3, 1000]) {
      answers(fixture, ...(`So:\n${CALL}\n${CALL}`).match(new RegExp(`.{1,${size}}`, "gs"))!);
      const [events] = await askSocket(fixture.url, [{ tools: TOOLS }]);
      const of = (type: string) => events!.filter((event) => event.type === `response.${type}`);
      assert.deepEqual(events!.map((event) => event.sequence_number), events!.map((_, i) => i));
      assert.equal(of("output_text.delta").map(({ delta }) => delta).join(""), "So:");
      const added = of("output_item.added");
      assert.deepEqual(added.map(({ item }) => item.name), ["get_weather", "get_weather"]);
      for (const [index, { call_index, call_id, item, output_index }] of added.entries()) {
        assert.deepEqual([call_index, output_index], [index, 0]);
        assert.match(call_id, /^call_[0-9a-f]{24}$/);
        assert.deepEqual([item.type, item.call_id, item.arguments], ["function_call", call_id, ""]);
        const own = (event: Event) => event.call_id === call_id;
        const deltas = of("function_call_arguments.delta").filter(own);
        assert.equal(deltas.map(({ delta }) => delta).join(""), ARGUMENTS);
        const [done, ...more] = of("function_call_arguments.done").filter(own);
        assert.deepEqual([done.name, done.arguments, more], ["get_weather", ARGUMENTS, []]);
        assert.ok(done.sequence_number > deltas.at(-1).sequence_number);
      }
      assert.equal(of("output_text.done")[0].finish_reason, "tool_calls");
    }
  });
});

Deno.test("a WebSocket shows no markup of a call that is cut before its name", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => {
      stream.text(`${CALL}\n<tool_call>\n{"name": "`);
      stream.finish("length");
    };
    const [events] = await askSocket(fixture.url, [{ tools: TOOLS, tool_choice: "required" }]);
    assert.doesNotMatch(JSON.stringify(events), /tool_call>/);
    const done = events!.find(({ type }) => type === "response.output_text.done");
    assert.equal(done.finish_reason, "length");
  });
});

Deno.test("a WebSocket's answers keep the forms that HTTP's keep", async () => {
  await withGateway(async (fixture) => {
    answers(fixture, CALL);
    const strict = { type: "function", function: { ...FUNCTION, strict: true } };
    const named = { type: "function", function: { name: "get_weather" } };
    const response_format = { type: "json_schema", json_schema: { name: "x", schema: SCHEMA } };
    const bodies: Record<string, unknown>[] = [
      { tools: TOOLS },
      { tools: TOOLS, tool_choice: "none" },
      { tools: TOOLS, tool_choice: "required" },
      { tools: TOOLS, tool_choice: named },
      { tools: [strict], parallel_tool_calls: false },
      { response_format },
      { response_format: { type: "json_object" } },
      { tools: TOOLS, response_format },
    ];
    for (const body of bodies) assert.equal(await statusOf(await fixture.chat(body)), 200);
    await askSocket(fixture.url, bodies);
    const kept = fixture.node.submits.map(({ schema, tokens, stopTokens }) =>
      JSON.stringify({ schema, tokens: [...tokens], stopTokens })
    );
    assert.deepEqual(kept.slice(bodies.length), kept.slice(0, bodies.length));
    const wrong: Record<string, unknown>[] = [
      { tools: 7 },
      { tool_choice: "required" },
      { response_format: { type: "json_schema" } },
      { tools: TOOLS, tool_choice: "required", ignore_eos: true },
    ];
    const said = await askSocket(fixture.url, wrong);
    for (const [i, body] of wrong.entries()) {
      const { error } = await (await fixture.chat(body)).json();
      assert.deepEqual(said[i]![0].error, error);
    }
  });
});

Deno.test("log-probabilities come with the pieces of a WebSocket's call", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => {
      const tokens = [...encodeBytes(`A${CALL}`)];
      for (const token of tokens) stream.tokens([token], { logprobs: [{ logprob: -1, top: [] }] });
      stream.finish();
    };
    const [events] = await askSocket(fixture.url, [{ tools: TOOLS, logprobs: true }]);
    const entries = events!.flatMap((event) => event.logprobs?.content ?? []);
    const texts = entries.map(({ token }: { token: string }) => token);
    assert.equal(texts.join(""), `A${CALL}`);
  });
});
