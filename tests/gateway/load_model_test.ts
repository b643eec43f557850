/** The real tokenizer and template behind a served model. */
import assert from "node:assert/strict";
import { ApiError } from "../../gateway/errors.ts";
import { loadModel } from "../../gateway/load_model.ts";
import type { ModelCard } from "../../proto/frame_types.ts";
import { testTokenizerJson } from "../support/test_model.ts";

const CARD: ModelCard = {
  id: "test",
  digest: "ab".repeat(32),
  tokenizerDigest: "",
  headDigest: "",
  vocabSize: 49152,
  contextMax: 8192,
  created: 0,
  architecture: "llama",
};

Deno.test("a chat becomes tokens, and tokens become text again", async () => {
  const model = await loadModel(CARD, 16, await testTokenizerJson());
  const tokens = model.renderAndEncode([{ role: "user", content: "What is the sea? \u{1F30A}" }]);
  const tokenText = model.tokenText();
  const text = [...tokens].map((token) => tokenText.push(Uint32Array.of(token))).join("") +
    tokenText.flush();
  tokenText.free();
  assert.match(text, /What is the sea\? \u{1F30A}/u);
  assert.ok(model.stopTokens.length > 0);
  assert.ok(model.stopTokens.every((token) => token < CARD.vocabSize));
  assert.equal(model.hashBlocks(tokens, "a").length, Math.floor(tokens.length / 16));
  assert.notDeepEqual(model.hashBlocks(tokens, "a"), model.hashBlocks(tokens, "b"));
  assert.equal(model.tokenBytes(CARD.vocabSize + 1), undefined);
});

Deno.test("what the template cannot take is the caller's 400", async () => {
  const model = await loadModel(CARD, 16, await testTokenizerJson());
  let everyPrivateUse = "<|im_end|>";
  for (let code = 0xe000; code <= 0xf8ff; ++code) everyPrivateUse += String.fromCharCode(code);
  assert.throws(
    () => model.renderAndEncode([{ role: "user", content: everyPrivateUse }]),
    (error: unknown) => error instanceof ApiError && error.status === 400,
  );
});
