/** Real answers of every route keep to the schemas that the OpenAPI document gives them. */
import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { openApiDocument, OPERATIONS } from "../../gateway/openapi.ts";
import { type Fixture, waitUntil, withGateway } from "../support/scripted_gateway.ts";

// deno-lint-ignore no-explicit-any
type Json = any;

/** Closed at each object: a field that the document does not tell of must not be answered. */
function closed(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== "object" || schema === null) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, it]) => [key, closed(it)]));
  const isOpen = schema.properties !== undefined && schema.type === "object" &&
    schema.additionalProperties === undefined;
  return isOpen ? { ...inner, additionalProperties: false } : inner;
}

/** Holds answers against a document, and remembers of which schemas there were any. */
class Checker {
  readonly checked = new Set<string>();
  /** All that was answered. */
  text = "";
  readonly #ajv = new Ajv({ strict: false });

  constructor(readonly document: Json) {
    const schemas = closed(document.components.schemas);
    this.#ajv.addSchema({ $id: "api", components: { schemas } });
  }

  problem(name: string, value: unknown): string | undefined {
    const $ref = `api#/components/schemas/${name}`;
    const validate = this.#ajv.getSchema($ref) ?? this.#ajv.compile({ $ref });
    return validate(value) ? undefined : JSON.stringify(validate.errors);
  }

  check(schema: Json, value: unknown): void {
    const name = schema.$ref.replace("#/components/schemas/", "");
    this.checked.add(name);
    assert.equal(this.problem(name, value), undefined, JSON.stringify(value));
  }

  /** Every byte of a response, by what the document says of its route, status and content type. */
  async response(method: string, path: string, response: Response): Promise<void> {
    const { responses } = this.document.paths[path][method.toLowerCase()];
    const type = response.headers.get("content-type")!.split(";")[0]!;
    const described = responses[response.status] ?? responses.default;
    assert.ok(described.content[type] !== undefined, `${method} ${path}: ${type} is described`);
    const { schema, "x-itemSchema": item } = described.content[type];
    const text = await response.text();
    this.text += text;
    if (item === undefined) return this.check(schema, JSON.parse(text));
    assert.match(schema.description, /Server-sent events/);
    for (const [, data] of text.matchAll(/^data: (.*)$/gm)) {
      if (data === "[DONE]") continue;
      const value = JSON.parse(data!);
      this.check("error" in value ? ERROR : item, value);
    }
  }
}

const ERROR = { $ref: "#/components/schemas/Error" };
const TREE = [{ token: 72, parent: -1, logprob: -0.25, accepted: true }];
const SCHEMA = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const FUNCTION = { name: "get_weather", parameters: SCHEMA };
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>';
const TRACED = { speculation: { mode: "default", trace: true } };

/** Two tokens with all that a node may tell of them, then a call. */
function tellAll({ node }: Fixture): void {
  node.script = (stream) => {
    const { sampling, tokensMax } = stream.submit;
    const logprobs = [72, 105].map((token) => ({
      logprob: -0.5,
      top: [[token, -0.5], [33, -Infinity]] as Array<[number, number]>,
    }));
    const steps = [{ tokenCount: 2, draftedCount: 4, acceptedCount: 1, tree: TREE }];
    stream.tokens([72, 105], { steps, logprobs: sampling.logprobs > 0 ? logprobs : [] });
    if (sampling.logprobs === 0) stream.text(CALL);
    stream.finish(tokensMax === 7 ? "length" : "stop");
  };
}

/** Bodies that between them have every field of an answer. */
const ASKED: Record<string, Array<Record<string, unknown>>> = {
  "/v1/chat/completions": [
    {},
    { n: 2, max_tokens: 7, logprobs: true, top_logprobs: 2, ...TRACED },
    { tools: [{ type: "function", function: FUNCTION }], ...TRACED },
  ],
  "/v1/completions": [
    {},
    { prompt: ["a", [98]], max_tokens: 7, echo: true, ...TRACED },
    { logprobs: 2 },
    { logprobs: 0 },
  ],
  "/v1/responses": [
    {},
    {
      instructions: "Be brief.",
      max_output_tokens: 7,
      metadata: { a: "b" },
      user: "u",
      include: ["message.output_text.logprobs"],
      top_logprobs: 2,
      ...TRACED,
    },
    {
      tools: [{ type: "function", ...FUNCTION, strict: true }],
      tool_choice: { type: "function", name: "get_weather" },
      ...TRACED,
    },
  ],
};
const LEAST: Record<string, Record<string, unknown>> = {
  "/v1/chat/completions": { messages: [{ role: "user", content: "Hi" }] },
  "/v1/completions": { prompt: "Hi" },
  "/v1/responses": { input: "Hi" },
};

async function askAll(fixture: Fixture, checker: Checker): Promise<void> {
  const { post, node } = fixture;
  for (const [path, bodies] of Object.entries(ASKED)) {
    const ask = async (body: Record<string, unknown>) =>
      await checker.response(
        "POST",
        path,
        await post(path, { model: "scripted", ...LEAST[path], ...body }),
      );
    const options = path === "/v1/responses"
      ? { include_obfuscation: true }
      : { include_obfuscation: true, include_usage: true };
    tellAll(fixture);
    for (const body of bodies) {
      await ask(body);
      await ask({ ...body, stream: true });
      await ask({ ...body, stream: true, stream_options: options });
    }
    await ask({ model: 7 });
    await ask({ model: "nobody" });
    node.script = (stream) => {
      stream.text("half");
      stream.fail("internal", false);
    };
    await ask({ stream: true });
    await ask({});
    node.script = (stream) => stream.fail("context_overflow", false);
    await ask({ stream: true });
  }
}

Deno.test("every route's real answers keep to the document's schemas", async () => {
  await withGateway(async (fixture) => {
    const { url, post, node, gateway } = fixture;
    const checker = new Checker(await (await fetch(`${url}/openapi.json`)).json());
    await askAll(fixture, checker);
    const prompt = { model: "scripted", prompt: "Hi" };
    await checker.response("POST", "/tokenize", await post("/tokenize", prompt));
    const withTexts = { ...prompt, return_token_strs: true };
    await checker.response("POST", "/tokenize", await post("/tokenize", withTexts));
    const tokens = { model: "scripted", tokens: [72] };
    await checker.response("POST", "/detokenize", await post("/detokenize", tokens));
    node.status();
    const seen = new Set(Object.keys(ASKED).concat("/tokenize", "/detokenize"));
    const get = async (path: string) => {
      seen.add(path);
      const response = await fetch(url + path.replace("{id}", "scripted"));
      await checker.response("GET", path, response);
    };
    for (const { method, path, answer } of OPERATIONS) {
      if (method === "get" && answer !== undefined) await get(path);
    }
    node.dropConnection();
    await waitUntil(() => gateway.services.pool.readyCount === 0, "the node is away");
    await get("/readyz");
    await get("/v1/fleet");
    const answering = OPERATIONS.filter(({ answer }) => answer !== undefined);
    assert.deepEqual(answering.map(({ path }) => path).filter((path) => !seen.has(path)), []);
    const named = OPERATIONS.flatMap(({ answer, events }) => [answer, events?.name]);
    const wanted = [...named.filter((name) => name !== undefined), "Error"];
    assert.deepEqual([...checker.checked].sort(), [...new Set(wanted)].sort());
    // The rarer fields were among them, or this would have held nothing against their schemas.
    for (
      const part of [
        ...['"tool_calls":[{"id"', '"tool_calls":[{"index"', '"tree":[{"token"', '"usage":null'],
        ...['"obfuscation":', '"top_logprobs":[{"token"', '"top_logprobs":[{"H"', '"n_ctx":'],
        ...["function_call_arguments.done", "response.failed", "response.incomplete"],
        ...['"type":"function_call"', '"max_output_tokens"', '"status":"no_node"'],
      ]
    ) assert.ok(checker.text.includes(part), part);
  });
});

Deno.test("the document describes each route's answer, in JSON, events or text", () => {
  const document: Json = openApiDocument();
  for (const { method, path, answer, events, text, isUpgrade } of OPERATIONS) {
    const { responses } = document.paths[path][method];
    assert.ok(responses.default.content["application/json"].schema.$ref, path);
    if (isUpgrade) {
      assert.deepEqual(Object.keys(responses), ["101", "default"]);
      continue;
    }
    const { content, description } = responses[200];
    assert.ok(description.length > 5, path);
    if (answer !== undefined) assert.ok(content["application/json"].schema.$ref, path);
    if (events !== undefined) assert.ok(content["text/event-stream"].schema.description, path);
    if (text !== undefined) assert.ok(content[text.type].schema.description, path);
    assert.ok(answer !== undefined || text !== undefined, `${path} answers something`);
  }
});

Deno.test("the schemas refuse what no answer is", async () => {
  await withGateway(async ({ chat }) => {
    const checker = new Checker(openApiDocument());
    const answer = await (await chat()).json();
    assert.equal(checker.problem("ChatCompletion", answer), undefined);
    const [choice] = answer.choices;
    const wrong: Json[] = [
      { ...answer, usage: undefined },
      { ...answer, object: "chat.completion.chunk" },
      { ...answer, choices: [{ ...choice, finish_reason: "null" }] },
      { ...answer, choices: [{ ...choice, message: { ...choice.message, content: 7 } }] },
      { ...answer, more: 1 },
    ];
    for (const value of wrong) {
      const sent = JSON.parse(JSON.stringify(value));
      assert.ok(checker.problem("ChatCompletion", sent), JSON.stringify(value).slice(0, 80));
    }
    // A client's validator is not as strict: later versions may answer more.
    const { components: { schemas } }: Json = openApiDocument();
    assert.equal(schemas.ChatCompletion.additionalProperties, undefined);
  });
});
