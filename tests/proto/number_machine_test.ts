import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { decimalOf } from "../../proto/number_machine.ts";
import { compileSchema, SchemaError } from "../../proto/schema_grammar.ts";
import { accepting, seeded, textsOf } from "../support/grammar_walks.ts";

const validator = (schema: object) =>
  new Ajv({ strict: false, multipleOfPrecision: 9 }).compile(schema);

Deno.test("every small integer is judged as JSON Schema does", () => {
  const random = seeded(3);
  const near = () => Math.round((random() - 0.5) * 400) / (random() < 0.5 ? 1 : 4);
  const values = Array.from({ length: 601 }, (_, i) => i - 300);
  for (let i = 0; i < 80; i++) {
    const low = near();
    const schema = {
      type: "integer",
      [random() < 0.5 ? "minimum" : "exclusiveMinimum"]: low,
      ...(random() < 0.8 ? { [random() < 0.5 ? "maximum" : "exclusiveMaximum"]: low + 60 } : {}),
      ...(random() < 0.5 ? { multipleOf: [1, 2, 3, 7, 10, 20, 0.5, 2.5][i % 8] } : {}),
    };
    const accepts = accepting(schema);
    const validate = validator(schema);
    for (const value of values) {
      assert.equal(accepts(`${value}`), validate(value), `${JSON.stringify(schema)}: ${value}`);
    }
  }
});

Deno.test("numbers within bounds: to the last digit, and none beyond", () => {
  const cases: ReadonlyArray<readonly [schema: object, yes: string[], no: string[]]> = [
    [{ minimum: 0, maximum: 1.5 }, ["0", "1.5", "1.50", "0.001", "1.49"], ["-0.1", "1.51", "2"]],
    [{ exclusiveMinimum: 0 }, ["0.00000001", "1", "99999"], ["0", "0.0", "-1", "1e3", "-0"]],
    [{ exclusiveMinimum: -0.25, maximum: 1e-7 }, ["-0.2499", "0", "0.0000001"], [
      "-0.25",
      "0.00000011",
      "1",
    ]],
    [{ minimum: -20, exclusiveMaximum: -3 }, ["-20", "-20.0", "-3.01"], ["-3", "-20.01", "0", "5"]],
    [{ multipleOf: 0.01 }, ["0.07", "-12.5", "3"], ["0.001", "1.005"]],
    [{ multipleOf: 2.5, minimum: 1 }, ["2.5", "5", "7.5"], ["2", "0", "2.6"]],
    [{ minimum: -3.4e38, maximum: 3.4e38 }, ["1", "-1"], []],
  ];
  const random = seeded(5);
  for (const [rules, yes, no] of cases) {
    const schema = { type: "number", ...rules };
    const accepts = accepting(schema);
    for (const text of yes) assert(accepts(text), `${JSON.stringify(rules)}: ${text}`);
    for (const text of no) assert(!accepts(text), `${JSON.stringify(rules)}: no ${text}`);
    // A quotient of doubles does not tell a hundredth.
    const validate = "multipleOf" in rules
      ? (value: number) => /^-?\d+(\.\d\d?)?$/.test(`${value}`)
      : validator(schema);
    for (const text of textsOf(schema, 200, random)) assert(validate(JSON.parse(text)), text);
  }
});

Deno.test("large round divisors cost few states, others are refused", () => {
  const accepts = accepting({ type: "integer", multipleOf: 5_000_000 });
  assert(accepts("15000000") && accepts("0") && accepts("-5000000"));
  assert(!accepts("1000000") && !accepts("5000001"));
  const bad: ReadonlyArray<readonly [schema: object, path: string, words: RegExp]> = [
    [{ multipleOf: 1234567 }, ".multipleOf", /more than 1000 remainders/],
    [{ multipleOf: 0 }, ".multipleOf", /not a number above 0/],
    [{ minimum: "1" }, ".minimum", /not a number/],
    [{ exclusiveMinimum: true }, ".exclusiveMinimum", /not a number/],
    [{ minimum: 1e15 }, ".minimum", /15 digits/],
    [{ maximum: 0.1 + 0.2 }, ".maximum", /15 digits/],
    [{ minimum: 3, maximum: 2 }, ".maximum", /no value is valid/],
    [{ minimum: 1, maximum: 4, multipleOf: 5 }, ".multipleOf", /no value is valid/],
  ];
  for (const [rules, path, words] of bad) {
    assert.throws(() => compileSchema({ type: "integer", ...rules }), (error) => {
      assert(error instanceof SchemaError, String(error));
      assert.equal(error.path, path);
      assert.match(error.message, words);
      return true;
    });
  }
  // Such bounds libraries write for "an integer".
  assert(accepting({ type: "integer", minimum: -(2 ** 53) + 1, maximum: 2 ** 53 - 1 })("7"));
});

Deno.test("decimalOf() has the digits of a number without its exponent", () => {
  const texts = [[0, "0."], [-0.25, "0.25"], [1.5e-7, "0.00000015"], [1e21, `1${"0".repeat(21)}.`]];
  for (const [value, text] of texts) {
    const { whole, fraction, isNegative } = decimalOf(value as number);
    assert.equal(`${whole}.${fraction}`, text);
    assert.equal(isNegative, (value as number) < 0);
  }
});
