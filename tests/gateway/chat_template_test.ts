import assert from "node:assert/strict";
import fc from "fast-check";
import { ChatTemplate, ChatTemplateError } from "../../gateway/chat_template.ts";
import type { ChatMessage } from "../../gateway/request_messages.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { byteTokenizer, testTokenizerJson } from "../support/test_model.ts";

const json = await testTokenizerJson();
const tokenizer = new ModelTokenizer(json);
const template = new ChatTemplate(tokenizer);
const roles = fc.constantFrom("system", "user", "assistant");
const SPECIALS = [...tokenizer.idsBySpecialText.keys()];

function chatTemplate(source: string | null, addBos = false): ChatTemplate {
  return new ChatTemplate(byteTokenizer(json, { chat_template: source, add_bos_token: addBos }));
}

function user(content: string): ChatMessage[] {
  return [{ role: "user", content }];
}

function errorOf(run: () => unknown): ChatTemplateError {
  try {
    run();
  } catch (error) {
    assert(error instanceof ChatTemplateError, String(error));
    return error;
  }
  throw new Error("It did not throw");
}

/** How the special tokens of a prompt lie. */
function specialsOf(ids: Uint32Array): number[] {
  return [...ids].filter((id) => tokenizer.specialIds.has(id));
}

Deno.test("render() applies the model's own template", () => {
  const system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
  const expected = `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n`;
  assert.equal(template.render(user("Hi"), { addGenerationPrompt: false }), expected);
  assert.equal(template.render(user("Hi")), `${expected}<|im_start|>assistant\n`);
});

Deno.test("renderAndEncode() gives ordinary messages the ids of plain rendering", () => {
  const content = fc.string({ unit: fc.constantFrom(..." \n.,;:!?()abcEXZ019éЖ中🙂_-") });
  const messages = fc.array(fc.record({ role: roles, content }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(messages, (messages) => {
    const plain = tokenizer.encode(template.render(messages), { parseSpecial: true });
    assert.deepEqual(template.renderAndEncode(messages), plain);
  }));
});

Deno.test("renderAndEncode() encodes a lone angle bracket or bar as plain rendering does", () => {
  for (
    const content of ["<", ">", "|", "a <", "> b", "<|", "|>", "x < y > z", "<b>bold</b>", "im"]
  ) {
    const plain = tokenizer.encode(template.render(user(content)), { parseSpecial: true });
    assert.deepEqual([...template.renderAndEncode(user(content))], [...plain], content);
  }
});

Deno.test("renderAndEncode() takes special tokens from the template alone", () => {
  const piece = fc.oneof(
    fc.constantFrom(...SPECIALS),
    fc.constantFrom(...SPECIALS.flatMap((text) => [text.slice(0, 4), text.slice(4)])),
    fc.constantFrom("\ue000", "\uf8ff", " ", "\n", "a", "<", ">"),
  );
  const content = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
  const messages = fc.array(fc.record({ role: roles, content }), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(messages, (messages) => {
    const ids = template.renderAndEncode(messages);
    const harmless = messages.map((message) => ({ ...message, content: "x" }));
    assert.deepEqual(specialsOf(ids), specialsOf(template.renderAndEncode(harmless)));
    assert.equal(tokenizer.decode(ids, { skipSpecial: false }), template.render(messages));
  }));
});

Deno.test("renderAndEncode() lets no token form across messages or at the template's text", () => {
  const joined = chatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}");
  const parts = ["<|im_", "end", "|>"].map((content) => ({ role: "user" as const, content }));
  assert.equal(joined.render(parts), "<|im_end|>");
  assert.equal(joined.renderAndEncode(parts).length, "<|im_end|>".length);
  const around = chatTemplate("<|{{ messages[0].content }}|>");
  assert.equal(around.renderAndEncode(user("im_end")).length, "<|im_end|>".length);
  assert.equal(around.renderAndEncode(user("im_end|>")).length, "<|im_end|>|>".length);
});

Deno.test("renderAndEncode() keeps private-use characters of a message as they are", () => {
  const all = Array.from({ length: 6_400 }, (_, i) => String.fromCharCode(0xe000 + i)).join("");
  const plain = tokenizer.encode(template.render(user(all)), { parseSpecial: true });
  assert.deepEqual(template.renderAndEncode(user(all)), plain);
  const error = errorOf(() => template.renderAndEncode(user(`${all}<|im_end|>`)));
  assert.equal(error.code, "refused");
  assert.match(error.message, /every private-use character/);
});

Deno.test("renderAndEncode() puts the BOS token first once", () => {
  const bos = chatTemplate("{{ bos_token }}{{ messages[0].content }}", true);
  const none = chatTemplate("{{ messages[0].content }}", true);
  assert.deepEqual(bos.renderAndEncode(user("a")), none.renderAndEncode(user("a")));
  assert.equal(none.renderAndEncode(user("a")).length, 2);
});

Deno.test("ChatTemplate() names a template that is missing or invalid", () => {
  assert.equal(errorOf(() => chatTemplate(null)).code, "missing");
  const invalid = errorOf(() => chatTemplate("{% for %}"));
  assert.equal(invalid.code, "invalid");
  assert.match(invalid.message, /^Cannot read the chat template: /);
  assert.equal(errorOf(() => chatTemplate("x".repeat(1 << 19))).code, "invalid");
});

Deno.test("a template that raises an exception refuses the messages in its own words", () => {
  const strict = chatTemplate(
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}" +
      "{{ raise_exception('Roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}",
  );
  assert.equal(strict.render(user("ok")), "ok");
  const error = errorOf(() => strict.renderAndEncode([...user("a"), ...user("b")]));
  assert.equal(error.code, "refused");
  assert.equal(error.message, "The chat template refuses the messages: Roles must alternate");
});

Deno.test("a template that cannot be evaluated fails with a reason", () => {
  const cases: [source: string, message: RegExp][] = [
    ["{% for i in range(1000000000) %}{% endfor %}", /range\(\) of 1000000000 items/],
    ["{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /./],
    ["{{ nothing() }}", /./],
    ["{{ messages[0].content | no_such_filter }}", /no_such_filter/],
    ["{{ strftime_now('%Q') }}", /'%Q'/],
  ];
  for (const [source, message] of cases) {
    const error = errorOf(() => chatTemplate(source).render(user("x")));
    assert.equal(error.code, "failed");
    assert.match(error.message, message);
  }
});

Deno.test("strftime_now() gives the date in the forms that templates use", () => {
  assert.match(chatTemplate("{{ strftime_now('%d %b %Y') }}").render([]), /^\d\d \w{3} \d{4}$/);
  assert.match(chatTemplate("{{ strftime_now('%Y-%m-%d') }}").render([]), /^\d{4}-\d\d-\d\d$/);
});
