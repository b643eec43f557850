/** Functions and formats on `/v1/responses`. */
import assert from "node:assert/strict";
import { statusOf, withGateway } from "../support/scripted_gateway.ts";

const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const TOOL = { type: "function", name: "get_weather", parameters: SCHEMA };
const ARGUMENTS = '{"city": "Paris"}';
const CALL = `<tool_call>\n{"name": "get_weather", "arguments": ${ARGUMENTS}}\n</tool_call>`;

Deno.test("responses: calls are items, streamed and whole", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => {
      stream.text("One ");
      stream.text(`moment.\n${CALL}`);
      stream.finish();
    };
    const tools = [TOOL];
    const asked = { model: "scripted", input: "Weather?", tools, stream: true };
    const text = await (await fixture.post("/v1/responses", asked)).text();
    // deno-lint-ignore no-explicit-any
    const events: any[] = [...text.matchAll(/^data: (.*)$/gm)].map(([, json]) => JSON.parse(json!));
    events.forEach((event, i) => assert.equal(event.sequence_number, i));
    assert.deepEqual([...new Set(events.map(({ type }) => type))], [
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.output_text.delta",
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.function_call_arguments.delta",
      "response.function_call_arguments.done",
      "response.completed",
    ]);
    const done = events.find(({ type }) => type === "response.function_call_arguments.done");
    assert.deepEqual([done.output_index, done.name, done.arguments], [1, "get_weather", ARGUMENTS]);
    const { response } = events.at(-1);
    assert.deepEqual(response.tools, tools);
    const [message, call] = response.output;
    assert.equal(message.content[0].text, "One moment.");
    assert.equal(call.type, "function_call");
    assert.equal(call.arguments, ARGUMENTS);
    const whole = await (await fixture.post("/v1/responses", { ...asked, stream: false })).json();
    const shapeOf = (items: Array<Record<string, unknown>>) =>
      items.map((item) => ({ ...item, id: "", call_id: "" }));
    assert.deepEqual(shapeOf(whole.output), shapeOf(response.output));
    const result = { type: "function_call_output", call_id: call.call_id, output: "Sunny." };
    const input = [{ role: "user", content: "Weather?" }, ...response.output, result];
    assert.equal(await statusOf(await fixture.post("/v1/responses", { ...asked, input })), 200);
  });
});

Deno.test("responses: no markup is shown of a call that is cut before its name", async () => {
  await withGateway(async (fixture) => {
    const head = '<tool_call>\n{"name": "';
    const asked = { model: "scripted", input: "Weather?", tools: [TOOL], tool_choice: "required" };
    for (const said of [head, `${CALL}\n${head}`]) {
      fixture.node.script = (stream) => {
        stream.text(said);
        stream.finish("length");
      };
      const whole = await (await fixture.post("/v1/responses", asked)).json();
      assert.equal(whole.status, "incomplete");
      assert.doesNotMatch(JSON.stringify(whole.output), /tool_call>/);
      const types = whole.output.map(({ type }: { type: string }) => type);
      assert.deepEqual(types, [said === head ? "message" : "function_call"]);
      const streamed = await fixture.post("/v1/responses", { ...asked, stream: true });
      assert.doesNotMatch(await streamed.text(), /tool_call>/);
    }
  });
});

Deno.test("responses: text.format is kept and repeated", async () => {
  await withGateway(async (fixture) => {
    const schema = { type: "object", properties: { a: { type: "integer" } }, required: ["a"] };
    const text = { format: { type: "json_schema", name: "x", strict: true, schema } };
    const asked = { model: "scripted", input: "Hi" };
    const body = await (await fixture.post("/v1/responses", { ...asked, text })).json();
    assert.deepEqual(body.text, text);
    assert.deepEqual(JSON.parse(fixture.node.submits[0]!.schema!), schema);
    const any = { format: { type: "json_object" } };
    assert.equal(await statusOf(await fixture.post("/v1/responses", { ...asked, text: any })), 200);
    assert.deepEqual(JSON.parse(fixture.node.submits[1]!.schema!), { type: "object" });
  });
});
