import assert from "node:assert/strict";
import process from "node:process";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { GrammarAutomaton, type GrammarState } from "../../gpu-node/grammar_state.ts";
import { compileSchema, SchemaError } from "../../proto/schema_grammar.ts";

function accepts(schema: unknown, text: string): boolean {
  let state: GrammarState | null = new GrammarAutomaton(compileSchema(schema)).start;
  for (const byte of new TextEncoder().encode(text)) state = state?.step(byte) ?? null;
  return state?.accepts ?? false;
}

const PERSON = {
  type: "object",
  properties: {
    name: { type: "string", minLength: 1, maxLength: 8 },
    age: { type: "integer" },
    tags: { type: "array", items: { enum: ["a", "b"] }, minItems: 1, maxItems: 2 },
    parent: { anyOf: [{ $ref: "#" }, { type: "null" }] },
  },
  required: ["name", "parent"],
  additionalProperties: false,
};

const CASES: ReadonlyArray<readonly [schema: unknown, yes: string[], no: string[]]> = [
  [
    PERSON,
    [
      '{"name":"é\\n","age":-12,"tags":["a", "b"],"parent":null}',
      '{"name": "x", "parent": {"name":"y","parent":null}}',
    ],
    ['{"name":"","parent":null}', '{"parent":null,"name":"x"}', '{"name":"x"}', '{"name":"x",}'],
  ],
  [{ type: "object" }, ["{}", '{"a":[1.5,{"b":[true,"x"]}]}'], ["[]", "{1:2}", '{"a":01}']],
  [{ type: ["number", "null"] }, ["null", "-0", "10.25"].slice(0, 1), ["+1", "1.", '"1"']],
  [{ const: { a: 1 } }, ['{"a":1}'], ["{}"]],
  [{ type: "array", maxItems: 0 }, ["[]"], ["[1]"]],
  [{ type: "object", additionalProperties: { type: "boolean" } }, ['{"x":true}'], ['{"x":1}']],
  // As zod writes a record.
  [
    { type: "object", propertyNames: { type: "string" }, additionalProperties: { type: "null" } },
    ['{"x":null}'],
    ['{"x":1}'],
  ],
];

Deno.test("compileSchema() allows what the schema allows", () => {
  const ajv = new Ajv({ strict: false });
  for (const [schema, yes, no] of CASES) {
    for (const text of yes) {
      assert(accepts(schema, text), `${JSON.stringify(schema)} allows ${text}`);
      assert(ajv.validate(schema as object, JSON.parse(text)), `${text} is valid`);
    }
    for (const text of no) assert(!accepts(schema, text), `${JSON.stringify(schema)}: ${text}`);
  }
});

Deno.test("compileSchema() allows no bytes that are not UTF-8", () => {
  const start = new GrammarAutomaton(compileSchema({ type: "string" })).start;
  const after = (...bytes: number[]) =>
    bytes.reduce<GrammarState | null>((state, byte) => state?.step(byte) ?? null, start);
  for (const bad of [[0x80], [0xc0, 0x80], [0xed, 0xa0], [0xf5], [0xe0, 0x80], [0x0a]]) {
    assert.equal(after(0x22, ...bad), null, bad.join());
  }
  assert(after(0x22, 0xf0, 0x9f, 0x98, 0x80, 0x22)?.accepts);
});

/** Any walk along the grammar, cut short and then led out, is valid JSON by the schema. */
Deno.test("compileSchema(): what a walk writes is valid", () => {
  let seed = 1;
  const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
  for (const schema of [PERSON, ...CASES.map(([schema]) => schema)]) {
    const ajv = new Ajv({ strict: false });
    const validate = ajv.compile(schema as object);
    let ended = 0;
    for (let walk = 0; walk < 200; walk++) {
      let state: GrammarState = new GrammarAutomaton(compileSchema(schema)).start;
      const bytes: number[] = [];
      while (bytes.length < 300 && !(state.accepts && random() < 0.5)) {
        const next = Array.from({ length: 256 }, (_, byte) => byte).filter((byte) =>
          state.step(byte) !== null
        );
        if (next.length === 0) break;
        // Quotes and brackets that close come often, or strings would never end.
        const closing = next.filter((byte) => [0x22, 0x5d, 0x7d].includes(byte));
        const from = closing.length > 0 && random() < 0.4 ? closing : next;
        const byte = from[Math.floor(random() * from.length)]!;
        bytes.push(byte);
        state = state.step(byte)!;
      }
      if (!state.accepts) continue;
      ended++;
      const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
      assert(validate(JSON.parse(text)), `${text}: ${JSON.stringify(validate.errors)}`);
    }
    assert(ended > 20, `${ended} walks ended: ${JSON.stringify(schema)}`);
  }
});

Deno.test("compileSchema() says what it cannot keep, and where", () => {
  let deep: unknown = { type: "string" };
  for (let i = 0; i < 40; i++) deep = { type: "array", items: deep };
  let wide: unknown = { type: "string", maxLength: 1000 };
  for (let i = 0; i < 9; i++) wide = { anyOf: Array(8).fill(wide) };
  const bad: ReadonlyArray<readonly [unknown, RegExp]> = [
    [{ type: "string", not: { const: "a" } }, /^\.not: .*not supported/],
    [{ type: "string", enum: [1] }, /no finite value/],
    [{ type: "object", properties: { a: { type: "x" } } }, /^\.properties\.a\.type/],
    [{ $ref: "#" }, /refers to itself/],
    [{ $ref: "http://localhost/x" }, /^\.\$ref/],
    [{ $ref: "#/$defs/a", $defs: {} }, /refers to nothing/],
    [{ anyOf: [{ $ref: "#" }, { type: "null" }] }, /refers to itself/],
    [{ properties: { a: { $ref: "#" } }, required: ["a"] }, /no finite value/],
    [{ type: "string", minLength: 1e9 }, /minLength/],
    [{ type: "string", enum: ["a"], maxLength: 3 }, /beside 'enum'/],
    [false, /allows a value/],
    [deep, /nested too deeply/],
    [wide, /too large/],
  ];
  for (const [schema, words] of bad) {
    assert.throws(() => compileSchema(schema), (error) => {
      assert(error instanceof SchemaError);
      assert.match(`${error.path}: ${error.message}`, words);
      return true;
    });
  }
});

Deno.test("compileSchema() holds nobody up, whatever 64 KiB of schema say", () => {
  const names = (count: number) => Array.from({ length: count }, (_, i) => `${i}`);
  const properties = (count: number, schema: unknown) => ({
    properties: Object.fromEntries(names(count).map((name) => [name, schema])),
  });
  const worst: Record<string, unknown> = {
    "many names": { required: names(9000) },
    "many values of any kind": properties(4500, {}),
    "many values of any kind, told": properties(650, { type: [...TYPES] }),
    "many lists": properties(2500, { type: "array" }),
    "many patterns": {
      anyOf: names(900).map((i) => ({ type: "string", pattern: `^(a|b)*a.{5}${i}` })),
    },
    "many repetitions": {
      anyOf: names(1000).map((i) => ({ type: "string", pattern: `${i}.{999}` })),
    },
    "many bounds": properties(1, {
      anyOf: names(900).map((i) => ({ type: "number", minimum: +i / 8 })),
    }),
    "many branches": { oneOf: names(1000).map((i) => ({ enum: [i] })) },
    "many parts": { allOf: names(1000).map((i) => ({ properties: { [i]: {} } })) },
    "many mails": properties(900, { type: "string", format: "email", minLength: 9 }),
    "long texts": properties(1500, { type: "string", minLength: 1024 }),
  };
  const MS_MAX = 700;
  for (const [what, schema] of Object.entries(worst)) {
    const before = process.cpuUsage();
    try {
      compileSchema(schema);
    } catch (error) {
      assert.ok(error instanceof SchemaError, String(error));
    }
    const { user, system } = process.cpuUsage(before);
    assert.ok((user + system) / 1000 < MS_MAX, `${what}: ${(user + system) / 1000} ms`);
  }
});

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
