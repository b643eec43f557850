/** Templates that would hold the gateway's one thread: each ends soon, by its own doing or ours. */
import assert from "node:assert/strict";
import process from "node:process";
import { ChatTemplate, ChatTemplateError } from "../../gateway/chat_template.ts";
import { loadModel } from "../../gateway/load_model.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import type { TemplateClock } from "../../gateway/template_bounds.ts";
import { statusOf, withGateway } from "../support/scripted_gateway.ts";
import { byteTokenizer, byteTokenizerJson, testTokenizerJson } from "../support/test_model.ts";

/** What one prompt may take, the reading of the template included, on a slow machine. */
const CPU_MS_MAX = 250;

const json = await testTokenizerJson();
const plainSource = new ModelTokenizer(json).chatTemplate!;

function chatTemplate(source: string, clock?: TemplateClock): ChatTemplate {
  return new ChatTemplate(byteTokenizer(json, { chat_template: source }), clock);
}

function user(content: string) {
  return [{ role: "user" as const, content }];
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Of `{}` in it, 60 times over. */
function again(text: string): string {
  return `{% for i in range(60) %}${text}{% endfor %}`;
}

const LONG = `{% set ns = namespace(t='${"a".repeat(1000)}') %}${
  again("{% if ns.t | length < 30000 %}{% set ns.t = ns.t ~ ns.t %}{% endif %}")
}`;

const HOSTILE: Record<string, [source: string, message: RegExp]> = {
  "loops in loops": [
    "{% for i in range(4000) %}{% for j in range(4000) %}x{% endfor %}{% endfor %}",
    /takes more than \d+ ms/,
  ],
  "empty loops in loops": [
    "{% for i in range(4000) %}{% for j in range(4000) %}{% endfor %}{% endfor %}",
    /takes more than \d+ ms/,
  ],
  "a text that doubles": [
    `{% set ns = namespace(t='xxxxxxxx') %}${again("{% set ns.t = ns.t ~ ns.t %}")}{{ ns.t }}`,
    /a text of over \d+ characters/,
  ],
  "a list that doubles": [
    `{% set ns = namespace(t=[1]) %}${again("{% set ns.t = ns.t + ns.t %}")}`,
    /a list of \d+ items/,
  ],
  "a list that holds itself twice": [
    `{% set ns = namespace(t=[1]) %}${again("{% set ns.t = [ns.t, ns.t] %}")}{{ ns.t | tojson }}`,
    /too large a value/,
  ],
  "mappings that do": [
    `{% set ns = namespace(t=[1]) %}${again("{% set ns.t = {'a': ns.t, 'b': ns.t} %}")}{{ ns.t }}`,
    /too large a value/,
  ],
  "namespaces that do": [
    `{% set ns = namespace(t=1) %}${
      again("{% set o = namespace(a=ns.t, b=ns.t) %}{% set ns.t = o %}")
    }{{ ns }}`,
    /a namespace into a value/,
  ],
  "a long replacement": [
    `${LONG}{{ ns.t.replace('a', ns.t) }}`,
    /applies \d+ characters to \d+/,
  ],
  "a long replacement by a filter": [
    `${LONG}{{ ns.t | replace('a', ns.t) }}`,
    /applies \d+ characters to \d+/,
  ],
  "a long replacement of a block": [
    `{% filter replace('a', '${"b".repeat(40)}') %}${"a".repeat(1000)}{% endfilter %}`,
    /applies 40 characters/,
  ],
  "a method under another name": [
    `${LONG}{% set f = ns.t.replace %}{{ f('a', ns.t) }}`,
    /a method as a value/,
  ],
  "a long separator": [`${LONG}{{ ns.t | list | join(ns.t) }}`, /./],
  "a long separator of many": [
    `${LONG}{{ range(4000) | join(ns.t) }}`,
    /applies \d+ characters to \d+/,
  ],
  "a wide indent": [`${LONG}{{ ns.t | indent(1000000) }}`, /applies \d+ characters to \d+/],
  "a long needle": [
    `${LONG}{% if (ns.t ~ 'b') in (ns.t ~ ns.t) %}x{% endif %}`,
    /applies \d+ characters to \d+/,
  ],
  "an endless recursion": ["{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /./],
  "names that do not exist": [
    "{% for i in range(4000) %}{% for j in range(4000) %}{{ x }}{% endfor %}{% endfor %}",
    /takes more than \d+ ms/,
  ],
  "sorting again and again": [
    "{% for i in range(4000) %}{% set x = range(4000) | sort %}{% endfor %}",
    /takes more than \d+ ms/,
  ],
  "blanks": [`{{ 'x' }}${" ".repeat(100_000)}x`, /blanks in a row/],
  "blanks and marks": [`${" ".repeat(250)}x`.repeat(250) + "{% endfor", /./],
  "brackets": ["{{ " + "(".repeat(100_000), /./],
  "marks": ["{{-".repeat(40_000), /./],
};

for (const [name, [source, message]] of Object.entries(HOSTILE)) {
  Deno.test(`a template of ${name} ends soon`, () => {
    const tokenizer = byteTokenizer(json, { chat_template: source });
    const before = cpuMs();
    assert.throws(() => new ChatTemplate(tokenizer).render(user("x")), (error) => {
      assert.ok(error instanceof ChatTemplateError, String(error));
      assert.match(error.message, message);
      return true;
    });
    assert.ok(cpuMs() - before < CPU_MS_MAX, `${cpuMs() - before} ms`);
  });
}

const SLOW = "{% for i in range(4000) %}{% for j in range(4000) %}x{% endfor %}{% endfor %}";

Deno.test("a template that was too slow is not tried for a while, then for longer", () => {
  let now = 0;
  let isSlow = true;
  const clock = { now: () => isSlow ? now += 0.1 : now, cpuMs: () => now };
  const template = chatTemplate(`{% if messages[0].content == 'x' %}${SLOW}{% endif %}ok`, clock);
  const words = (content: string) => {
    try {
      return template.render(user(content));
    } catch (error) {
      return (error as Error).message;
    }
  };
  for (const restMs of [1000, 2000, 4000]) {
    assert.match(words("x"), /takes more than 20 ms/);
    isSlow = false;
    assert.match(words("y"), /not tried for a while/);
    now += restMs - 1;
    assert.match(words("y"), /not tried for a while/);
    now += 2;
    isSlow = true;
  }
  assert.equal(words("y"), "ok");
  assert.match(words("x"), /takes more than 20 ms/);
  now += 1001;
  assert.equal(words("y"), "ok");
});

Deno.test("a machine that is busy with others is not the template's fault", () => {
  let now = 0;
  const clock = { now: () => now += 1, cpuMs: () => 0 };
  const template = chatTemplate("{% for i in range(100) %}x{% endfor %}", clock);
  assert.equal(template.render(user("y")), "x".repeat(100));
});

Deno.test("what a client sends at length is no fault of the template", () => {
  const template = chatTemplate(plainSource);
  const many = Array.from({ length: 4096 }, () => user("a")[0]!);
  assert.ok(template.render(many).length > 4096 * 20);
  const long = "word ".repeat(200_000);
  assert.ok(template.render(user(long)).includes(long));
  const thinking =
    "{% for m in messages %}{{ m.content.split('</think>')[-1] | replace('a', 'b') }}" +
    "{% if '</tool_response>' in m.content %}x{% endif %}{% endfor %}";
  assert.ok(chatTemplate(thinking).render(user(long)).length > 900_000);
});

Deno.test("others are served while clients chat with a hostile template", async () => {
  const tokenizerJson = byteTokenizerJson(json, { chat_template: SLOW });
  await withGateway(async ({ chat, url }) => {
    let worstMs = 0;
    for (let i = 0; i < 10; ++i) {
      const asked = [chat({ model: "hostile" }), chat({ model: "hostile", n: 2 })];
      const startedAt = performance.now();
      assert.equal(await statusOf(await fetch(`${url}/readyz`)), 200);
      worstMs = Math.max(worstMs, performance.now() - startedAt);
      for (const response of await Promise.all(asked)) {
        const { error } = await response.json();
        assert.equal(response.status, 400);
        assert.equal(error.code, "chat_template_failed");
        assert.match(error.message, /^Model 'hostile': Cannot apply the chat template/);
      }
    }
    assert.ok(worstMs < 400, `${worstMs} ms`);
  }, { nodes: [{ modelId: "hostile", tokenizerJson, vocabSize: 512 }], loadModel });
});
