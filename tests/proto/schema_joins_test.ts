import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { compileSchema, SchemaError } from "../../proto/schema_grammar.ts";
import { areExclusive } from "../../proto/schema_joins.ts";
import { accepting, seeded, textsOf } from "../support/grammar_walks.ts";

const kind = (name: unknown, more: Record<string, unknown> = {}) => ({
  type: "object",
  properties: { kind: { const: name, type: "string" }, ...more },
  required: ["kind", ...Object.keys(more)],
});
const CAT = kind("cat", { lives: { type: "integer", minimum: 1, maximum: 9 } });
const DOG = kind("dog", { name: { type: "string", pattern: "^[A-Z][a-z]{1,5}$" } });
const SAME = (schema: unknown) => schema;

Deno.test("areExclusive() needs proof: other types, other values, or a property that tells", () => {
  const yes: ReadonlyArray<readonly [unknown, unknown]> = [
    [{ type: "string" }, { type: ["integer", "null"] }],
    [{ const: 1 }, { enum: [2, "1"] }],
    [{ type: "string" }, { enum: [1, null] }],
    [CAT, DOG],
    [{ anyOf: [CAT, { type: "null" }] }, { oneOf: [DOG, { type: "string" }] }],
    [{ allOf: [CAT] }, DOG],
  ];
  const no: ReadonlyArray<readonly [unknown, unknown]> = [
    [{ type: "integer" }, { type: "number" }],
    [{ type: "integer" }, { const: 3 }],
    [{ enum: [1, 2] }, { enum: [2, 3] }],
    [CAT, { ...DOG, required: [] }],
    [CAT, { properties: DOG.properties, required: DOG.required }],
    [CAT, kind("cat")],
    [{ const: { a: 1 } }, { const: { a: 2 } }],
    [{}, { type: "string" }],
    [true, { type: "string" }],
  ];
  for (const [a, b] of yes) assert(areExclusive(a, b, SAME), JSON.stringify([a, b]));
  for (const [a, b] of no) assert(!areExclusive(a, b, SAME), JSON.stringify([a, b]));
});

const JOINED: ReadonlyArray<readonly [schema: object, yes: string[], no: string[]]> = [
  [
    {
      oneOf: [{ $ref: "#/$defs/cat" }, { $ref: "#/$defs/dog" }],
      discriminator: { propertyName: "kind", mapping: { cat: "#/$defs/cat", dog: "#/$defs/dog" } },
      $defs: { cat: CAT, dog: DOG },
    },
    ['{"kind":"cat","lives":9}', '{"kind":"dog","name":"Rex"}'],
    ['{"kind":"cat","name":"Rex"}', '{"kind":"cat","lives":10}'],
  ],
  [{ allOf: [CAT], title: "a cat", default: null }, ['{"kind":"cat","lives":1}'], ["null"]],
  [
    { ...kind("x"), allOf: [{ properties: { b: { type: "boolean" } }, required: ["b"] }] },
    ['{"kind":"x","b":true}'],
    ['{"kind":"x"}', '{"b":true}'],
  ],
  [
    {
      allOf: [
        { type: "object", properties: { a: { type: "string", minLength: 1 } } },
        { properties: { a: { maxLength: 2, pattern: "x" } }, required: ["a"] },
        { additionalProperties: false, properties: { a: { pattern: "y" } } },
      ],
    },
    ['{"a":"xy"}'],
    ['{"a":"xyz"}', '{"a":"x"}', "{}"],
  ],
  [{ type: "string", allOf: [{ pattern: "^a+$" }, { pattern: "a{2}" }] }, ['"aa"'], [
    '"a"',
    '"ab"',
  ]],
  [
    { type: "integer", minimum: 2, allOf: [{ minimum: 5 }, { maximum: 7 }] },
    ["5", "7"],
    ["4", "8"],
  ],
];

Deno.test("oneOf and allOf allow what both say", () => {
  const random = seeded(17);
  for (const [schema, yes, no] of JOINED) {
    const accepts = accepting(schema);
    const validate = new Ajv({ strict: false }).compile(schema);
    for (const text of yes) assert(accepts(text) && validate(JSON.parse(text)), text);
    for (const text of no) assert(!accepts(text) && !validate(JSON.parse(text)), text);
    for (const text of textsOf(schema, 50, random)) assert(validate(JSON.parse(text)), text);
  }
});

Deno.test("a list whose items lead back to it through allOf is one rule", () => {
  const node = {
    type: "object",
    properties: {
      value: { type: "integer" },
      next: {
        anyOf: [{ allOf: [{ $ref: "#/$defs/node" }, { required: ["next"] }] }, { type: "null" }],
      },
    },
    required: ["value"],
    additionalProperties: false,
  };
  const accepts = accepting({ $ref: "#/$defs/node", $defs: { node } });
  assert(accepts('{"value":1,"next":{"value":2,"next":{"value":3,"next":null}}}'));
  assert(!accepts('{"value":1,"next":{"value":2}}'));
});

Deno.test("what cannot be joined, or may overlap, is refused by its place", () => {
  const bad: ReadonlyArray<readonly [schema: unknown, path: string, words: RegExp]> = [
    [{ oneOf: [{ type: "integer" }, { type: "number" }] }, ".oneOf[1]", /excludes 'oneOf\[0\]'/],
    [{ oneOf: [CAT, DOG, kind("cat")] }, ".oneOf[2]", /excludes 'oneOf\[0\]'/],
    [{ type: "object", oneOf: [CAT, DOG] }, ".type", /beside 'oneOf'/],
    [{ allOf: [{ const: 1 }, { const: 2 }] }, ".const", /cannot be joined/],
    [
      { allOf: [{ ...CAT, additionalProperties: false }, DOG] },
      ".additionalProperties",
      /cannot be joined/,
    ],
    [{ allOf: [{ $ref: "#" }, { type: "string" }] }, ".allOf", /cannot be joined/],
    [{ allOf: [] }, ".allOf", /not a list/],
    [{ allOf: [{ type: "string" }, false] }, "", /not a schema/],
    [{ not: { type: "string" } }, ".not", /not supported/],
  ];
  for (const [schema, path, words] of bad) {
    assert.throws(() => compileSchema(schema), (error) => {
      assert(error instanceof SchemaError, String(error));
      assert.equal(error.path, path);
      assert.match(error.message, words);
      return true;
    });
  }
});
