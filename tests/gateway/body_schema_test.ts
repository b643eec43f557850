/** The OpenAPI document allows a body if and only if its route's reader does. */
import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { ApiError } from "../../gateway/errors.ts";
import { openApiDocument } from "../../gateway/openapi.ts";
import { readChatRequest, readCompletionRequest } from "../../gateway/request.ts";
import { readResponsesRequest } from "../../gateway/request_responses.ts";
import { readDetokenizeRequest, readTokenizeRequest } from "../../gateway/request_tokens.ts";
import { enumeratedIn, JsonValues, seeded } from "../support/json_values.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

const BODIES_PER_ROUTE = 12_000;
const READERS: Record<string, (body: unknown) => unknown> = {
  "/v1/chat/completions": readChatRequest,
  "/v1/completions": readCompletionRequest,
  "/v1/responses": readResponsesRequest,
  "/tokenize": readTokenizeRequest,
  "/detokenize": readDetokenizeRequest,
};

const chat = { model: "m", messages: [{ role: "user", content: "Hi" }] };
const completion = { model: "m", prompt: "Hi" };
const response = { model: "m", input: "Hi" };
const tool = (name: string) => ({ type: "function", function: { name } });
const call = { id: "c", type: "function", function: { name: "f", arguments: "{}" } };

/** What the document allows and a reader refuses: JSON Schema has no words for it. It is all, bar
 * what depends on the model: its name, its vocabulary and its context. */
const EXCEPTIONS: Array<[why: string, error: RegExp, path: string, body: Json]> = [
  [
    "two fields that must be equal",
    /^'max_tokens' and 'max_completion_tokens' differ/,
    "/v1/chat/completions",
    { ...chat, max_tokens: 1, max_completion_tokens: 2 },
  ],
  [
    "two fields that must be equal",
    /^'best_of' other than 'n'/,
    "/v1/completions",
    { ...completion, best_of: 2 },
  ],
  [
    "the product of two fields is bounded",
    /^'prompt' times 'n' asks for 66 choices/,
    "/v1/completions",
    { ...completion, prompt: Array(33).fill("a"), n: 2 },
  ],
  [
    "a value must be among those of another field",
    /^'tool_choice' names 'g', which is not in 'tools'/,
    "/v1/chat/completions",
    { ...chat, tools: [tool("f")], tool_choice: tool("g") },
  ],
  [
    "items must differ in one field",
    /^'tools' has two functions 'f'/,
    "/v1/chat/completions",
    { ...chat, tools: [tool("f"), tool("f")] },
  ],
  [
    "which JSON schemas a grammar can keep is for `proto/schema_grammar.ts` to say",
    /^Invalid schema at 'response_format.json_schema.schema.not'/,
    "/v1/chat/completions",
    {
      ...chat,
      response_format: {
        type: "json_schema",
        json_schema: { name: "n", schema: { type: "string", not: { const: "a" } } },
      },
    },
  ],
  [
    "nor what it can keep of a strict tool's arguments",
    /^Invalid schema at 'tools\[0\].function.parameters.not'/,
    "/v1/chat/completions",
    {
      ...chat,
      tools: [{
        type: "function",
        function: { name: "f", strict: true, parameters: { type: "string", not: { const: "a" } } },
      }],
    },
  ],
  [
    "a schema's text is bounded in bytes",
    /^'text.format.schema' has \d+ bytes, at most 65536/,
    "/v1/responses",
    {
      ...response,
      text: { format: { type: "json_schema", name: "n", schema: { enum: ["x".repeat(70_000)] } } },
    },
  ],
  [
    "half of a surrogate pair is no text that JSON Schema describes",
    /unpaired surrogate/,
    "/v1/completions",
    { ...completion, prompt: "\ud800" },
  ],
];
/** The same, in the words of bodies that are made here. */
const OTHER_WORDS = [/^'prompt' times 'n'/, /^'tool_choice' names/, /^'tools' has two functions/];

const document: Json = openApiDocument();
const ajv = new Ajv({ strict: false });
ajv.addSchema({ $id: "api", components: document.components });

const nameOf = (path: string): string =>
  document.paths[path].post.requestBody.content["application/json"].schema.$ref.split("/").at(-1);
const schemaOf = (path: string): Json => document.components.schemas[nameOf(path)];

function isDocumented(path: string, body: unknown): boolean {
  const $ref = `api#/components/schemas/${nameOf(path)}`;
  return (ajv.getSchema($ref) ?? ajv.compile({ $ref }))(body) as boolean;
}

function errorOf(path: string, body: unknown): ApiError | undefined {
  try {
    READERS[path]!(body);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.status, 400);
    assert.ok(error.param);
    return error;
  }
}

/** @returns Whether both took it. */
function checkSame(path: string, body: unknown): boolean {
  const error = errorOf(path, body);
  const isAllowed = isDocumented(path, body);
  const known = [...EXCEPTIONS.map(([, words]) => words), ...OTHER_WORDS];
  if (isAllowed && error !== undefined && known.some((words) => words.test(error.message))) {
    return false;
  }
  const said = `${path} ${JSON.stringify(body).slice(0, 2000)}: ${error?.message ?? "taken"}`;
  assert.equal(isAllowed, error === undefined, said);
  return isAllowed;
}

for (const path of Object.keys(READERS)) {
  Deno.test(`${path} takes what the document allows, and nothing else`, () => {
    const schema = schemaOf(path);
    const enumerated = new Set<string>();
    let takenCount = 0;
    for (const [seed, faultChance] of [[1, 0], [2, 0.01], [3, 0.05]] as const) {
      const values = new JsonValues(seeded(seed), faultChance);
      for (let i = 0; i < BODIES_PER_ROUTE / 3; ++i) {
        const body = JSON.parse(JSON.stringify(values.make(schema, "")));
        if (checkSame(path, body)) ++takenCount;
      }
      for (const value of values.enumerated) enumerated.add(value);
    }
    const unseen = enumeratedIn(schema, "").filter((value) => !enumerated.has(value));
    assert.deepEqual(unseen, [], "every value of every enumeration was sent");
    const refusedCount = BODIES_PER_ROUTE - takenCount;
    assert.ok(takenCount > 500 && refusedCount > 500, `${takenCount}, ${refusedCount}`);
  });
}

Deno.test("what the document cannot say is refused all the same, and is listed here", () => {
  for (const [why, words, path, body] of EXCEPTIONS) {
    assert.ok(isDocumented(path, body), why);
    assert.match(errorOf(path, body)?.message ?? "taken", words);
  }
});

Deno.test("fields that depend on one another, nulls and parts: both sides say the same", () => {
  const message = (more: Json, ...others: Json[]) => ({ ...chat, messages: [more, ...others] });
  const json = { type: "json_object" };
  const strict = { type: "function", function: { name: "f", strict: true } };
  const bodies: Array<[path: string, body: Json, isTaken: boolean]> = [
    ["/v1/chat/completions", { ...chat, temperature: null, stream_options: null }, true],
    ["/v1/chat/completions", { ...chat, model: null }, false],
    [
      "/v1/chat/completions",
      message({ role: "assistant", content: null, tool_calls: [call] }),
      true,
    ],
    ["/v1/chat/completions", message({ role: "assistant", tool_calls: [] }), false],
    ["/v1/chat/completions", { ...chat, messages: [] }, false],
    ["/v1/chat/completions", message({ role: "user", content: "Hi", foo: 1 }), false],
    ["/v1/chat/completions", message({ role: "user" }), false],
    [
      "/v1/chat/completions",
      message({ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }),
      false,
    ],
    ["/v1/chat/completions", { ...chat, response_format: { ...json, foo: 1 } }, false],
    ["/v1/chat/completions", { ...chat, response_format: json, ignore_eos: true }, false],
    ["/v1/chat/completions", { ...chat, tools: [strict], ignore_eos: true }, false],
    ["/v1/chat/completions", { ...chat, tools: [tool("f")], ignore_eos: true }, true],
    ["/v1/chat/completions", { ...chat, logit_bias: { a: 1 } }, false],
    ["/v1/chat/completions", { ...chat, logit_bias: { 1: 1 } }, true],
    ["/v1/chat/completions", { ...chat, reasoning_effort: "low" }, false],
    ["/v1/chat/completions", { ...chat, stream_options: {} }, false],
    ["/v1/chat/completions", { ...chat, stream: null, stream_options: {} }, false],
    ["/v1/chat/completions", { ...chat, stream: true, stream_options: {} }, true],
    ["/v1/chat/completions", { ...chat, top_logprobs: 1 }, false],
    ["/v1/chat/completions", { ...chat, tool_choice: "required" }, false],
    ["/v1/chat/completions", { ...chat, speculation: { mode: "fixed", beam_width: 1 } }, false],
    ["/v1/chat/completions", { ...chat, stop: "\u{1f30a}".repeat(256) }, true],
    ["/v1/completions", { ...completion, prompt: [{}] }, false],
    ["/v1/completions", { ...completion, prompt: [[1, 2], "a"] }, true],
    ["/v1/completions", { ...completion, prompt: [1, "a"] }, false],
    ["/v1/completions", { ...completion, echo: true, logprobs: 0 }, false],
    ["/v1/responses", { ...response, input: [{ type: "message" }] }, false],
    ["/v1/responses", { ...response, input: [{ role: "user", content: "Hi" }] }, true],
    ["/v1/responses", { ...response, input: [{ role: "user", content: "", foo: null }] }, true],
    ["/v1/responses", { ...response, foo: null }, false],
    ["/v1/responses", { ...response, text: { foo: 1 } }, false],
    ["/v1/responses", { ...response, top_logprobs: 1 }, false],
    ["/v1/responses", { ...response, reasoning: { effort: null } }, true],
    ["/tokenize", { model: "m" }, false],
    ["/tokenize", { prompt: "Hi" }, true],
    ["/tokenize", { ...chat, prompt: "Hi" }, false],
    ["/tokenize", { ...chat, add_special_tokens: true }, false],
    ["/tokenize", { ...chat, chat_template_kwargs: {}, continue_final_message: false }, true],
    ["/tokenize", { ...chat, chat_template_kwargs: { enable_thinking: false } }, false],
    ["/tokenize", { prompt: "Hi", add_generation_prompt: true }, false],
    ["/detokenize", { tokens: [-1] }, false],
    ["/detokenize", {}, false],
  ];
  for (const [path, body, isTaken] of bodies) {
    assert.equal(checkSame(path, body), isTaken, JSON.stringify(body));
  }
});
