/** Input that asks for more than it looks like. */
import assert from "node:assert/strict";
import { ChatTemplate } from "../../gateway/chat_template.ts";
import { StopScanner } from "../../gateway/stop_scanner.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { TokenMasks } from "../../gpu-node/token_mask.ts";
import { testTokenizerJson } from "../support/test_model.ts";
import { withGateway } from "../support/scripted_gateway.ts";
import { attack, errorOf } from "./attack.ts";

/** Generous, for machines that do other things; unbounded, each would take minutes or for ever. */
const MS_MAX = 15_000;

async function inTime<T>(what: string, act: () => T | Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const value = await act();
  const ms = performance.now() - startedAt;
  assert.ok(ms < MS_MAX, `${what} took ${ms} ms`);
  return value;
}

attack(17, async () => {
  const wide = (levels: number): unknown =>
    levels === 0 ? { type: "string", maxLength: 1000 } : { anyOf: Array(8).fill(wide(levels - 1)) };
  const nested = (levels: number): unknown =>
    levels === 0 ? { type: "string" } : { type: "array", items: nested(levels - 1) };
  const schemas = [
    { type: "string", pattern: "(a+)+$" },
    { type: "string", pattern: "(a|b)*a(a|b){500}(c|[^d]{900})*" },
    { type: "string", pattern: "((a{1,99}){1,99}){1,99}", maxLength: 1000 },
    wide(4),
    nested(26),
    { type: "array", items: { type: "array", items: {}, maxItems: 256 }, maxItems: 256 },
    { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } },
    { type: "string", maxLength: 1e9 },
  ];
  await withGateway(async ({ chat }) => {
    for (const schema of schemas) {
      const response_format = { type: "json_schema", json_schema: { name: "x", schema } };
      const response = await inTime("a schema", () => chat({ response_format }));
      await response.body?.cancel();
      assert.ok([200, 400].includes(response.status));
    }
    // Stop strings are strings: few, short, and found in linear time.
    await errorOf(await chat({ stop: Array(5).fill("a") }), 400);
    await errorOf(await chat({ stop: "a".repeat(257) }), 400);
    await errorOf(await chat({ guided_regex: "(a+)+$" }), 400);
  });
  const scanner = new StopScanner(Array.from({ length: 4 }, () => "a".repeat(255) + "b"));
  await inTime("stop strings", () => {
    for (let i = 0; i < 2000; i++) scanner.push("a".repeat(100));
  });
  // Where a number, a key or anything may come, a mask is still made at once.
  const json = await testTokenizerJson();
  const masks = new TokenMasks(json, JSON.parse(new TextDecoder().decode(json)).tokens.length);
  const ambiguous = {
    anyOf: Array.from({ length: 16 }, (_, i) => ({ type: "string", maxLength: 900 + i })),
  };
  await inTime("a mask", () => masks.mask(masks.start(JSON.stringify(ambiguous)), []));
});

attack(18, async () => {
  await withGateway(async ({ chat }) => {
    for (
      const field of ["chat_template", "chat_template_kwargs", "add_generation_prompt", "documents"]
    ) {
      const { param } = await errorOf(await chat({ [field]: "{{ ''.__class__ }}" }), 400);
      assert.equal(param, field);
    }
  });
  const fields = JSON.parse(new TextDecoder().decode(await testTokenizerJson()));
  const withTemplate = (chat_template: string) =>
    new ChatTemplate(
      new ModelTokenizer(new TextEncoder().encode(JSON.stringify({ ...fields, chat_template }))),
    );
  const bombs = [
    "{% for i in range(4000) %}".repeat(3) + "x" + "{% endfor %}".repeat(3),
    `{% set x = namespace(t="${"a".repeat(100)}") %}` +
    "{% for i in range(60) %}{% set x.t = x.t ~ x.t %}{% endfor %}{{ x.t }}",
    "{% for a in range(1000000000) %}x{% endfor %}",
  ];
  for (const bomb of bombs) {
    const template = withTemplate(bomb);
    await inTime(
      "a template",
      () => assert.throws(() => template.render([{ role: "user", content: "Hi" }])),
    );
  }
  // A message is a value and never a template.
  const text = withTemplate("{{ messages[0].content }}").render([
    { role: "user", content: "{{ 7 * 7 }}{% for a in range(9) %}x{% endfor %}" },
  ]);
  assert.equal(text, "{{ 7 * 7 }}{% for a in range(9) %}x{% endfor %}");
});

attack(19, async () => {
  await withGateway(async ({ chat, post, node }) => {
    for (
      const [body, param] of [
        [{ n: 16_384 }, "n"],
        [{ n: 17 }, "n"],
        [{ max_tokens: 1e9 }, "max_tokens"],
        [{ max_completion_tokens: 2 ** 40 }, "max_completion_tokens"],
        [{ logprobs: true, top_logprobs: 5000 }, "top_logprobs"],
        [
          { logit_bias: Object.fromEntries(Array.from({ length: 1025 }, (_, i) => [i, 1])) },
          "logit_bias",
        ],
        [{ messages: Array(5000).fill({ role: "user", content: "" }) }, "messages"],
        [{ tools: Array(129).fill({}) }, "tools"],
        [
          { speculation: { mode: "fixed", beam_width: 999, beam_length: 2, packed_max: 2 } },
          "speculation.beam_width",
        ],
      ] as const
    ) {
      assert.equal((await errorOf(await chat(body), 400)).param, param);
    }
    const completion = { model: "scripted", prompt: "Hi" };
    assert.equal(
      (await errorOf(await post("/v1/completions", { ...completion, best_of: 20 }), 400)).param,
      "best_of",
    );
    const many = { model: "scripted", prompt: Array(64).fill("Hi"), n: 16 };
    assert.equal((await errorOf(await post("/v1/completions", many), 400)).param, "n");
    assert.equal(node.submits.length, 0, "refused before anything was started");
    // What may be generated is never more than the context holds.
    await (await chat({ max_tokens: 1 << 20 })).body?.cancel();
    assert.ok(node.submits[0]!.tokensMax <= 4096);
  });
});
