import assert from "node:assert/strict";
import { Template } from "@huggingface/jinja";
import fc from "fast-check";
import { isVerbatim, TemplatePieces } from "../../gateway/template_pieces.ts";

const LOOP = (body: string) => `{% for m in messages %}${body}{% endfor %}`;
const FIRST = "{% if loop.first and messages[0]['role'] != 'system' %}Be kind.{% endif %}";

const VERBATIM = [
  LOOP(FIRST + "{{ '<|' + m['role'] + '>' + m['content'] + '\\n' }}") +
  "{% if add_generation_prompt %}<|assistant>{% endif %}",
  LOOP("{{ m.role ~ ': ' ~ m.content }}{% if not loop.last %}, {% endif %}"),
  LOOP("{% set name = m.role | upper %}{{ name }}: {{ m.content }}{{ m.content }}"),
  "{{ messages[-1].content }}" + LOOP("{{ m.content if m.role == 'user' else 'x' }}"),
  LOOP("{% if m.tool_calls is defined %}call{% else %}{{ m.content }}{% endif %}"),
  LOOP("{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}"),
  "{% set shown = 'b' %}{{ bos_token }}{{ shown }}",
];

/** Each of them lets a content, or what changes by itself, steer what stands around it. */
const OTHERS = [
  LOOP("{{ m.content | trim }}"),
  LOOP("{{ m['content'].strip() }}"),
  LOOP("{% if m.content %}a{% endif %}"),
  LOOP("{% if 'x' in m.content %}a{% endif %}"),
  LOOP("{% if m.content is string %}a{% endif %}"),
  LOOP("{% if messages[0].content == 'x' %}a{% endif %}"),
  LOOP("{{ m.content * 2 }}"),
  LOOP("{{ (m.content ~ 'a') | length }}"),
  LOOP("{{ m.content or 'none' }}"),
  LOOP("{{ m.content[0] }}"),
  LOOP("{% set text = m.content %}{{ text }}"),
  LOOP("{% set text %}{{ m.content }}{% endset %}{{ text | upper }}"),
  LOOP("{% set copy = m %}{{ copy.content | upper }}"),
  LOOP("{{ m['con' ~ 'tent'] | upper }}"),
  LOOP("{{ m | tojson }}"),
  LOOP("{% for key in m %}{{ m[key] }}{% endfor %}"),
  LOOP("{{ loop.previtem.content | upper }}"),
  LOOP("{{ raise_exception(m.content) }}"),
  LOOP("{% if 'a' in (m.role ~ m.content) %}a{% endif %}"),
  "{% set all = messages %}{{ all[0].content | upper }}",
  "{% for messages in messages %}{{ messages.content }}{% endfor %}",
  "{% for m in messages[1:] %}{{ m.content | upper }}{% endfor %}",
  "{% for m in messages if m.content %}{{ m.role }}{% endfor %}",
  "{% for m in messages | reverse %}{{ m.content | upper }}{% endfor %}",
  "{% macro show(m) %}{{ m.content }}{% endmacro %}" + LOOP("{{ show(m) }}"),
  "{{ messages | length }}",
  "{{ strftime_now('%S') }}",
];

const content = fc.oneof(
  fc.string({ unit: fc.constantFrom(..." \n{}%'\"<|>ab\ue000\ue001019") }),
  fc.constantFrom("", "\ue0000\ue001", "{{ bos_token }}", "$&"),
);
const messages = fc.array(
  fc.record({ role: fc.constantFrom("system", "user", "assistant"), content }),
  { minLength: 1, maxLength: 4 },
);

function outcome(run: () => string): string {
  try {
    return run();
  } catch {
    return "refused";
  }
}

for (const source of [...VERBATIM, ...OTHERS]) {
  Deno.test(`TemplatePieces.render() gives what the template gives: ${source}`, () => {
    const template = new Template(source);
    const isSteady = !source.includes("strftime");
    const variables = { add_generation_prompt: true, bos_token: "<s>" };
    const pieces = new TemplatePieces(template.parsed, source);
    const plain = (given: unknown) => template.render({ ...variables, messages: given });
    fc.assert(
      fc.property(messages, (given) => {
        const made = outcome(() => pieces.render(given, "", plain));
        if (isSteady) assert.equal(made, outcome(() => plain(given)));
      }),
      { numRuns: 60 },
    );
  });
}

Deno.test("isVerbatim() tells templates by what they do with a content", () => {
  for (const source of VERBATIM) assert(isVerbatim(new Template(source).parsed), source);
  for (const source of OTHERS) assert(!isVerbatim(new Template(source).parsed), source);
});

Deno.test("TemplatePieces renders each sequence of roles once", () => {
  const source = VERBATIM[0]!;
  const template = new Template(source);
  const pieces = new TemplatePieces(template.parsed, source);
  let renderCount = 0;
  const render = (scope: string, ...roles: string[]) =>
    pieces.render(roles.map((role, i) => ({ role, content: `text ${i}` })), scope, (given) => {
      ++renderCount;
      return template.render({ messages: given, add_generation_prompt: scope === "true" });
    });
  assert.equal(render("true", "user"), "Be kind.<|user>text 0\n<|assistant>");
  assert.equal(render("true", "user"), "Be kind.<|user>text 0\n<|assistant>");
  assert.equal(renderCount, 1);
  assert.equal(render("false", "user"), "Be kind.<|user>text 0\n");
  assert.equal(render("true", "system"), "<|system>text 0\n<|assistant>");
  assert.equal(renderCount, 3);
  // More sequences than are held: the first is rendered again.
  for (let i = 0; i < 64; ++i) render(`scope ${i}`, "user");
  render("true", "user");
  assert.equal(renderCount, 3 + 64 + 1);
  // So many messages are rendered anew each time.
  for (let i = 0; i < 2; ++i) render("true", ...Array(65).fill("user"));
  assert.equal(renderCount, 3 + 64 + 1 + 2);
});

Deno.test("TemplatePieces leaves texts that look like places to the template", () => {
  const source = "{{ bos_token }}{{ messages[0].content }}";
  const template = new Template(source);
  const pieces = new TemplatePieces(template.parsed, source);
  const given = [{ role: "user", content: "a" }];
  const plain = (some: unknown) => template.render({ messages: some, bos_token: "\ue0007\ue001" });
  assert.equal(pieces.render(given, "", plain), "\ue0007\ue001a");
});
