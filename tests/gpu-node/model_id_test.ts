import assert from "node:assert/strict";
import { modelIdOf } from "../../gpu-node/model_id.ts";

Deno.test("modelIdOf() leaves out what only says how the file is stored", () => {
  assert.equal(modelIdOf("/a/SmolLM2-135M-Instruct.Q4_1.gguf"), "SmolLM2-135M-Instruct");
  assert.equal(modelIdOf("smollm2-135m-instruct-q8_0.gguf"), "smollm2-135m-instruct");
  assert.equal(modelIdOf("model-bf16.gguf"), "model");
  assert.equal(modelIdOf("Q4_1.gguf"), "Q4_1");
});

Deno.test("modelIdOf() gives a name that fits a URL, whatever the file's is", () => {
  assert.equal(modelIdOf("/a/my model (v2)?.gguf"), "my-model-v2");
  assert.equal(modelIdOf("/a/..gguf"), "model");
  assert.equal(modelIdOf("日本.gguf"), "model");
});
