import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiError } from "../../gateway/errors.ts";
import { JSON_DEPTH_MAX, parseJsonText } from "../../gateway/json_body.ts";
import { readChatRequest, readCompletionRequest } from "../../gateway/request.ts";
import { chatBody } from "../support/scripted_gateway.ts";

Deno.test("any JSON is a request or a 400 that names a field", () => {
  const fields = [
    "model",
    "messages",
    "prompt",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_k",
    "logit_bias",
    "logprobs",
    "n",
    "seed",
    "stop",
    "speculation",
    "tools",
    "response_format",
    "metadata",
    "__proto__",
    "constructor",
  ];
  const body = fc.dictionary(fc.constantFrom(...fields), fc.jsonValue({ maxDepth: 4 }));
  fc.assert(
    fc.property(body, (body) => {
      const json = JSON.parse(JSON.stringify({ ...body }));
      for (const read of [readChatRequest, readCompletionRequest]) {
        try {
          read(json);
        } catch (error) {
          assert.ok(error instanceof ApiError, String(error));
          assert.equal(error.status, 400);
          assert.ok(error.param);
        }
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("fields arrive as they were sent, with OpenAI's defaults", () => {
  const plain = readChatRequest(chatBody());
  assert.equal(plain.sampling.temperature, 1);
  assert.equal(plain.sampling.topP, 1);
  assert.equal(plain.choiceCount, 1);
  assert.equal(plain.tokensMax, undefined);
  const full = readChatRequest(chatBody({
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "a" }, { type: "text", text: "b" }] },
      { role: "assistant", content: "c", refusal: null, annotations: [], tool_calls: [] },
    ],
    max_completion_tokens: 9,
    top_k: -1,
    top_p: 0,
    min_p: 0.1,
    frequency_penalty: -2,
    repetition_penalty: 1.1,
    logit_bias: { "50": -100 },
    seed: -1,
    stop: "\n",
  }));
  assert.deepEqual(full.prompts, [{
    kind: "messages",
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "ab" },
      { role: "assistant", content: "c" },
    ],
  }]);
  assert.equal(full.tokensMax, 9);
  assert.equal(full.sampling.topK, 0);
  assert.ok(full.sampling.topP > 0, "0 means off on the wire");
  assert.equal(full.sampling.seed, 0xffff_ffff_ffff_ffffn);
  assert.deepEqual(full.sampling.logitBias, [{ token: 50, bias: -100 }]);
  assert.deepEqual(full.stop, ["\n"]);
});

Deno.test("JSON is bounded in depth, whatever stands in its strings", () => {
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  parseJsonText(nested(JSON_DEPTH_MAX));
  assert.throws(() => parseJsonText(nested(JSON_DEPTH_MAX + 1)), /nested deeper/);
  const text = '{"a":"\\"[[[[' + "[".repeat(100) + '\\\\"}';
  assert.deepEqual(parseJsonText(text), JSON.parse(text));
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), (json) => {
    assert.deepEqual(parseJsonText(json), JSON.parse(json));
  }));
});
