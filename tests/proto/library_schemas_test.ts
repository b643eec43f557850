/** What schema libraries write for ordinary models (`golden/`: Pydantic 2, Zod 4). */
import assert from "node:assert/strict";
import { Ajv2020 as Ajv } from "ajv/dist/2020.js";
import { compileSchema } from "../../proto/schema_grammar.ts";
import { accepting, seeded, textsOf } from "../support/grammar_walks.ts";

type Schema = { properties: Record<string, object>; $defs?: object };

async function read(name: string): Promise<Schema> {
  return JSON.parse(await Deno.readTextFile(new URL(`golden/${name}.json`, import.meta.url)));
}

for (const name of ["pydantic", "zod"]) {
  Deno.test(`the schema of a ${name} model compiles whole, and keeps each field`, async () => {
    const schema = await read(name);
    const { nodes } = compileSchema(schema);
    assert(nodes.length < 15_000, `${nodes.length} nodes`);
    const random = seeded(23);
    for (const [field, own] of Object.entries(schema.properties)) {
      const whole = { ...own, $defs: schema.$defs ?? {} };
      // Formats have their own test; what stands beside them is judged here.
      const ajv = new Ajv({ strict: false, validateFormats: false, logger: false });
      const validate = ajv.compile(whole);
      const texts = textsOf(whole, 40, random);
      assert(texts.length > 5, `${field}: ${texts.length} texts`);
      for (const text of texts) assert(validate(JSON.parse(text)), `${field}: ${text}`);
    }
  });
}

const VALUES: Record<string, Record<string, string[]>> = {
  pydantic: {
    age: ["0", "120"],
    r: ["0.5"],
    d: ['"2024-02-29"'],
    dt: ['"2024-02-29T12:00:00Z"'],
    td: ['"P3DT4H"'],
    e: ['"jane@example.com"'],
    h: ['"https://example.com/a?b=c"'],
    un: ['{"kind":"a", "x":1}', '{"kind":"b","y":"z"}'],
  },
  zod: {
    dt: ['"2024-02-29T12:00:00Z"'],
    date: ['"2023-12-31"'],
    time: ['"12:30"', '"12:30:15.5"'],
    dur: ['"P1Y2M"'],
    uuid: ['"123e4567-e89b-42d3-a456-426614174000"'],
    host: ['"example.com"'],
    pos: ["0.1"],
    rx2: ['"aa"'],
    b64: ['"YWI="'],
    du: ['{"k":"a","x":1.5}'],
  },
};

Deno.test("values that such models take are allowed", async () => {
  for (const [name, fields] of Object.entries(VALUES)) {
    const schema = await read(name);
    for (const [field, texts] of Object.entries(fields)) {
      const accepts = accepting({ ...schema.properties[field], $defs: schema.$defs ?? {} });
      for (const text of texts) assert(accepts(text), `${name}, ${field}: ${text}`);
    }
  }
});
