import assert from "node:assert/strict";
import { GrammarAutomaton, type GrammarState } from "../../gpu-node/grammar_state.ts";
import { compileAnswer, compileTools, type ToolForm } from "../../proto/answer_grammar.ts";
import { SchemaError } from "../../proto/schema_grammar.ts";

const CITY = {
  type: "object",
  properties: { city: { $ref: "#/$defs/name" } },
  required: ["city"],
  additionalProperties: false,
  $defs: { name: { type: "string", maxLength: 5 } },
};
/** Its references have the same names and mean something else. */
const COUNT = {
  type: "object",
  properties: { count: { $ref: "#/$defs/name" }, next: { anyOf: [{ $ref: "#" }, { const: 0 }] } },
  required: ["count", "next"],
  additionalProperties: false,
  $defs: { name: { type: "integer" } },
};
const TOOLS = [
  { name: "weather", parameters: CITY, strict: true },
  { name: "count", parameters: COUNT, strict: true },
  { name: "now", parameters: null, strict: false },
];
const call = (name: string, values: string) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${values}}\n</tool_call>`;
const PARIS = call("weather", '{"city": "Paris"}');
const TWO = call("count", '{"count": 2, "next": {"count":1,"next":0}}');

function accepts(tool_calls: Partial<ToolForm["tool_calls"]>, text: string): boolean {
  const form = { tool_calls: { tools: TOOLS, calls_max: 2, ...tool_calls } };
  let state: GrammarState | null = new GrammarAutomaton(compileAnswer(form)).start;
  for (const byte of new TextEncoder().encode(text)) state = state?.step(byte) ?? null;
  return state?.accepts ?? false;
}

Deno.test("forced calls: one at least, as many as may be, each by its own schema", () => {
  for (const text of [PARIS, TWO, call("now", "{}"), `${PARIS}\n${TWO}`]) {
    assert(accepts({}, text), text);
  }
  for (
    const text of [
      "",
      "Sure.",
      `Sure.\n${PARIS}`,
      PARIS.slice(0, -1),
      `${PARIS} `,
      `${PARIS}\n${PARIS}\n${PARIS}`,
      call("other", "{}"),
      call("weather", "{}"),
      call("weather", '{"city": "Geneva"}'),
      call("weather", '{"city": 2}'),
      call("now", '{"a":1}'),
    ]
  ) assert(!accepts({}, text), text);
});

Deno.test("free text goes before calls, but no opening without a call", () => {
  const content = { kind: "text" } as const;
  for (
    const text of [
      "",
      "Sure. <tool>, <<tool_calls>, <tool_call",
      PARIS,
      `é <tool_<${PARIS}`,
      `Both:\n${PARIS}\n${TWO}`,
    ]
  ) assert(accepts({ content }, text), text);
  for (const text of ["<tool_call>", "a <tool_call> b", `${PARIS} and`, `x${PARIS}\n`]) {
    assert(!accepts({ content }, text), text);
  }
});

Deno.test("a value by a schema may stand instead of calls", () => {
  const content = { kind: "schema", schema: { enum: ["<", 7] } } as const;
  for (const text of ["7", '"<"', PARIS]) assert(accepts({ content }, text), text);
  for (const text of ["8", `7${PARIS}`]) assert(!accepts({ content }, text), text);
});

Deno.test("a tool that is not strict keeps what can be kept", () => {
  const loose = (parameters: unknown) => ({
    tools: [{ name: "f", parameters, strict: false }],
  });
  const withA = (a: unknown) => loose({ type: "object", properties: { a }, required: ["a"] });
  const kept = withA({ type: "integer", minimum: 3 });
  assert(!accepts(kept, call("f", '{"a": 1}')) && accepts(kept, call("f", '{"a": 3}')));
  for (
    const rule of [
      { not: { const: 1 } },
      { multipleOf: 1234567 },
      { oneOf: [{ type: "integer" }, { minimum: 0 }] },
      { allOf: [{ const: 1 }, { const: 2 }] },
    ]
  ) {
    const part = withA({ type: "integer", ...rule });
    assert(accepts(part, call("f", '{"a": 1}')), "the rule is the model's business");
    if ("oneOf" in rule) continue;
    assert(!accepts(part, call("f", '{"a": "x"}')), "the type is not");
  }
  const text = withA({ type: "string", pattern: "(a)\\1", maxLength: 2 });
  assert(accepts(text, call("f", '{"a": "xy"}')) && !accepts(text, call("f", '{"a": "xyz"}')));
  for (const parameters of [{ type: "date" }, { $ref: "http://localhost/x" }, false, 7]) {
    assert(accepts(loose(parameters), call("f", '{"any": [1]}')), JSON.stringify(parameters));
    assert(!accepts(loose(parameters), call("f", "[]")), "still an object");
  }
});

Deno.test("a strict tool is refused by its place", () => {
  const properties = { a: { type: "integer", not: { const: 3 } } };
  const tools = [TOOLS[0]!, { name: "f", parameters: { properties }, strict: true }];
  assert.throws(() => compileTools({ tool_calls: { tools, calls_max: 1 } }), (error) => {
    assert(error instanceof SchemaError);
    assert.equal(error.path, "[1].properties.a.not");
    return true;
  });
  // What libraries write for "an integer" binds nothing that we would write.
  const safe = { type: "integer", minimum: -(2 ** 53) + 1, maximum: 2 ** 53 - 1 };
  compileAnswer(safe);
  assert.throws(() => compileAnswer({ tool_calls: 1, type: "object" }));
});
