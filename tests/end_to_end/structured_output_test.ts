/** Constrained answers of the real model, through both processes. @module */
import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { Served } from "../support/served.ts";
import { readStream } from "../support/sse.ts";

const SCHEMA = {
  type: "object",
  properties: {
    city: { type: "string", maxLength: 20 },
    kind: { enum: ["sunny", "rain"] },
    degrees: { type: "integer" },
    hours: { type: "array", items: { type: "boolean" }, minItems: 2, maxItems: 3 },
  },
  required: ["city", "kind", "degrees", "hours"],
  additionalProperties: false,
};
const FORMAT = {
  type: "json_schema",
  json_schema: { name: "weather", strict: true, schema: SCHEMA },
};

function chat(served: Served, more: Record<string, unknown>) {
  return {
    model: served.model,
    messages: [{ role: "user", content: "Describe the weather in Paris as JSON." }],
    max_tokens: 200,
    ...more,
  };
}

Deno.test("structured output through gateway and node", async (t) => {
  await using served = await Served.start();
  const validate = new Ajv().compile(SCHEMA);
  const answer = async (more: Record<string, unknown>) => {
    const response = await served.post("/v1/chat/completions", chat(served, more));
    const body = await response.json();
    assert.equal(response.status, 200, JSON.stringify(body));
    return body.choices[0];
  };

  await t.step("answers keep their schema, greedy and sampled", async () => {
    for (const temperature of [0, 0.7, 1, 1.5]) {
      for (const seed of temperature === 0 ? [1] : [1, 2, 3, 4]) {
        const more = { response_format: FORMAT, temperature, seed, top_p: 0.95 };
        const { message, finish_reason } = await answer(more);
        assert.equal(finish_reason, "stop", message.content);
        const value = JSON.parse(message.content);
        assert(validate(value), `${message.content}: ${JSON.stringify(validate.errors)}`);
      }
    }
  });

  await t.step("speculation, penalties and biases change nothing of that", async () => {
    for (const temperature of [0, 1]) {
      for (const seed of [7, 8, 9]) {
        const more = { response_format: FORMAT, temperature, seed, repetition_penalty: 1.1 };
        const plain = await answer({ ...more, speculation: { mode: "off" } });
        const fixed = { mode: "fixed", beam_width: 4, beam_length: 5, packed_max: 16 };
        const drafted = await answer({ ...more, speculation: { ...fixed, trace: true } });
        const chosen = await answer(more);
        assert.equal(drafted.message.content, plain.message.content);
        assert.equal(chosen.message.content, plain.message.content);
        assert(validate(JSON.parse(plain.message.content)));
        // The names of the fields alone are several tokens that nothing else could be.
        const steps: Array<{ accepted_count: number }> = drafted.redraft.steps;
        const accepted = steps.reduce((sum, { accepted_count }) => sum + accepted_count, 0);
        assert(accepted > steps.length / 2, `${accepted} drafts accepted in ${steps.length} steps`);
      }
    }
  });

  await t.step("json_object gives an object, a stream gives the same text", async () => {
    const more = { response_format: { type: "json_object" }, temperature: 0 };
    const { message, finish_reason } = await answer(more);
    assert.equal(message.content[0], "{");
    if (finish_reason === "stop") JSON.parse(message.content);
    const body = chat(served, { ...more, stream: true });
    const streamed = await readStream(await served.post("/v1/chat/completions", body));
    assert.equal(streamed.text, message.content);
  });

  await t.step("constrained and free requests share steps", async () => {
    const [free, kept, again] = await Promise.all([
      answer({ temperature: 0, max_tokens: 60 }),
      answer({ response_format: FORMAT, temperature: 0 }),
      answer({ response_format: FORMAT, temperature: 1, seed: 3 }),
    ]);
    for (const { message } of [kept, again]) assert(validate(JSON.parse(message.content)));
    assert.equal(
      free.message.content,
      (await answer({ temperature: 0, max_tokens: 60, speculation: { mode: "off" } })).message
        .content,
    );
  });

  await t.step("what no grammar can keep is refused by its name", () => refusals(served));
});

async function refusals(served: Served): Promise<void> {
  const refused = async (schema: unknown, param: string) => {
    const response_format = { type: "json_schema", json_schema: { name: "x", schema } };
    const response = await served.post(
      "/v1/chat/completions",
      chat(served, { response_format }),
    );
    const { error } = await response.json();
    assert.equal(response.status, 400);
    assert.equal(error.param, `response_format.json_schema.schema${param}`);
  };
  await refused({ type: "string", pattern: "(a)\\1" }, ".pattern");
  await refused({ type: "array", items: { type: "date" } }, ".items.type");
  await refused({ enum: ["x".repeat(70_000)] }, "");
}
