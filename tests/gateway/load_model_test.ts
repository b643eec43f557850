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

Deno.test("BOS token and start of an answer are there unless they are not wanted", async () => {
  const json = JSON.parse(new TextDecoder().decode(await testTokenizerJson()));
  const bytes = new TextEncoder().encode(JSON.stringify({ ...json, add_bos_token: true }));
  const model = await loadModel(CARD, 16, bytes);
  const plain = [...model.encodeText("Hi", { addBos: false })];
  assert.deepEqual([...model.encodeText("Hi")], [1, ...plain]);
  const messages = [{ role: "user" as const, content: "Hi" }];
  const whole = [...model.renderAndEncode(messages)];
  const bare = [...model.renderAndEncode(messages, { addGenerationPrompt: false })];
  assert.ok(bare.length > 0 && bare.length < whole.length);
  assert.deepEqual(whole.slice(0, bare.length), bare);
});

Deno.test("the tokens of the documentation's example are those of its text", async () => {
  const page = await Deno.readTextFile(new URL("../../docs/api.md", import.meta.url));
  const [, prompt] = /\/tokenize .*\n.*"prompt": "([^"]+)"/.exec(page)!;
  const [, tokens] = /"tokens": (\[[^\]]+\])/.exec(page)!;
  const model = await loadModel(CARD, 16, await testTokenizerJson());
  assert.deepEqual([...model.encodeText(prompt!)], JSON.parse(tokens!));
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
