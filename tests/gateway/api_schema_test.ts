/** The OpenAPI document says what the gateway does. */
import assert from "node:assert/strict";
import fc from "fast-check";
import * as api from "../../gateway/api_schema.ts";
import { ROUTES } from "../../gateway/app.ts";
import { ApiError } from "../../gateway/errors.ts";
import { openApiDocument, OPERATIONS } from "../../gateway/openapi.ts";
import { readChatRequest, readCompletionRequest } from "../../gateway/request.ts";
import { readResponsesRequest } from "../../gateway/request_responses.ts";
import { readDetokenizeRequest, readTokenizeRequest } from "../../gateway/request_tokens.ts";
import type { Properties, Schema } from "../../gateway/schema.ts";
import { chatBody, withGateway } from "../support/scripted_gateway.ts";

interface Body {
  read: (body: unknown) => unknown;
  least: Record<string, unknown>;
  properties: Properties;
}

const bodyOf = (read: Body["read"], schema: Schema, least: Body["least"]): Body => {
  return { read, least, properties: schema.properties! };
};

const BODIES: Body[] = [
  bodyOf(readChatRequest, api.CHAT_REQUEST, chatBody()),
  bodyOf(readCompletionRequest, api.COMPLETION_REQUEST, { model: "m", prompt: "Hi" }),
  bodyOf(readResponsesRequest, api.RESPONSES_REQUEST, { model: "m", input: "Hi" }),
  bodyOf(readTokenizeRequest, api.TOKENIZE_REQUEST, { model: "m", prompt: "Hi" }),
  bodyOf(readDetokenizeRequest, api.DETOKENIZE_REQUEST, { model: "m", tokens: [1] }),
];

function paramOf(act: () => unknown): string | null | undefined {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.status, 400);
    return error.param;
  }
  return undefined;
}

/** Values just outside what a schema allows. */
function outside(schema: Schema): unknown[] {
  const values: unknown[] = [];
  const { type, minimum, maximum, maxLength, maxItems } = schema;
  if (type === "integer") values.push(minimum! - 1, maximum! + 1, minimum! + 0.5, "1", true, []);
  if (type === "number") values.push(minimum! - 0.001, maximum! + 0.001, "1", true, {});
  if (type === "boolean") values.push("true", 1, []);
  if (type === "string") values.push(7, [], {});
  if (type === "object") values.push(7, "x", []);
  if (type === "array") values.push(7, "x", {});
  if (maxLength !== undefined && maxLength < 1e6) values.push("x".repeat(maxLength + 1));
  if (maxItems !== undefined && maxItems < 1e5) values.push(new Array(maxItems + 1).fill("x"));
  if (schema.enum !== undefined) values.push("none of them");
  return values;
}

Deno.test("what the schemas do not allow is refused by the field's name", () => {
  let count = 0;
  for (const { read, least, properties } of BODIES) {
    assert.equal(paramOf(() => read(least)), undefined);
    for (const [field, schema] of Object.entries(properties)) {
      // Past the safe integers there are no neighbours to try.
      if (field === "seed") continue;
      for (const value of outside(schema)) {
        const param = paramOf(() => read({ ...least, [field]: value }));
        assert.equal(param, field, `${field} = ${JSON.stringify(value)?.slice(0, 40)}`);
        ++count;
      }
    }
  }
  assert.ok(count > 200, String(count));
});

Deno.test("numbers within their bounds are taken", () => {
  const together: Record<string, Record<string, unknown>> = {
    top_logprobs: { logprobs: true, include: ["message.output_text.logprobs"] },
    best_of: { n: 16 },
  };
  for (const { read, least, properties } of BODIES) {
    for (const [field, { type, minimum, maximum }] of Object.entries(properties)) {
      if (type !== "integer" && type !== "number") continue;
      const more = Object.fromEntries(
        Object.entries(together[field] ?? {}).filter(([name]) => name in properties),
      );
      for (const value of field === "best_of" ? [16] : [minimum, maximum]) {
        const param = paramOf(() => read({ ...least, ...more, [field]: value }));
        assert.equal(param, undefined, `${field} = ${value}`);
      }
    }
  }
});

Deno.test("a field that is in no schema is refused, whatever its name", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), fc.nat(BODIES.length - 1), (name, i) => {
    const { read, least, properties } = BODIES[i]!;
    fc.pre(!Object.hasOwn(properties, name) && name !== "__proto__");
    assert.equal(paramOf(() => read({ ...least, [name]: 1 })), name.slice(0, 128));
  }));
});

Deno.test("the document has every route and no other, with its scope", () => {
  const shown = OPERATIONS.map(({ method, path, isPublic }) =>
    `${method.toUpperCase()} ${path} ${isPublic ? "public" : "key"}`
  );
  const served = ROUTES.map(({ method, path, scope }) =>
    `${method} ${path.replace(":id{.+}", "{id}")} ${scope === "public" ? "public" : "key"}`
  );
  assert.deepEqual(shown.sort(), served.sort());
  const document = openApiDocument();
  const ids = new Set<string>();
  for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
    // deno-lint-ignore no-explicit-any
    const target = ref!.split("/").reduce((at: any, step) => at?.[step], document);
    assert.ok(target, ref);
  }
  for (const [, id] of JSON.stringify(document).matchAll(/"operationId":"([^"]+)"/g)) {
    assert.ok(!ids.has(id!), id);
    ids.add(id!);
  }
  assert.equal(ids.size, OPERATIONS.length);
});

Deno.test("of two models, one must be named", async () => {
  await withGateway(async ({ post }) => {
    const response = await post("/tokenize", { prompt: "Hi" });
    assert.equal(response.status, 400);
    const { code, param } = (await response.json()).error;
    assert.deepEqual([code, param], ["missing_required_parameter", "model"]);
  }, { nodes: [{ modelId: "one" }, { modelId: "two" }] });
});

Deno.test("the document, the capabilities, tokens and their text are served", async () => {
  await withGateway(async ({ url, post }) => {
    const document = await (await fetch(`${url}/openapi.json`)).json();
    assert.equal(document.openapi, "3.1.0");
    const can = await (await fetch(`${url}/v1/capabilities`)).json();
    assert.equal(can.models[0].id, "scripted");
    assert.deepEqual(can.features.tools, ["function"]);
    assert.equal(can.bounds.body_bytes, 8 << 20);
    const asked = { model: "scripted", prompt: "Hé", return_token_strs: true };
    const { count, tokens, token_strs, max_model_len } = await (await post("/tokenize", asked))
      .json();
    assert.deepEqual([count, tokens], [3, [72, 195, 169]]);
    assert.equal(token_strs[0], "H");
    assert.equal(max_model_len, 4096);
    const back = await post("/detokenize", { model: "scripted", tokens });
    assert.deepEqual(await back.json(), { prompt: "Hé" });
    const { messages } = chatBody();
    const chat = await (await post("/tokenize", { model: "scripted", messages })).json();
    assert.equal(chat.count, "user: Hi\n".length);
    assert.equal(chat.token_strs, null);
    // One model needs no name.
    const bare = await post("/tokenize", { messages, add_generation_prompt: false });
    assert.equal((await bare.json()).count, "user: Hi".length);
    assert.deepEqual(await (await post("/detokenize", { tokens })).json(), { prompt: "Hé" });
    for (
      const [path, body, status, param] of [
        ["/tokenize", { model: "other", prompt: "x" }, 404, "model"],
        ["/tokenize", { model: "scripted" }, 400, "prompt"],
        ["/tokenize", { ...asked, messages }, 400, "prompt"],
        ["/detokenize", { model: "scripted", tokens: [1, 257] }, 400, "tokens[1]"],
        ["/detokenize", { model: "scripted", tokens: [-1] }, 400, "tokens[0]"],
        ["/detokenize", { model: "scripted" }, 400, "tokens"],
      ] as const
    ) {
      const response = await post(path, body);
      assert.equal(response.status, status);
      assert.equal((await response.json()).error.param, param);
    }
  });
});
