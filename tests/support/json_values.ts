/** Bodies by a JSON schema, and bodies that are almost so: for tests that hold what a server takes
 * against what its document says. @module */

// deno-lint-ignore no-explicit-any
type Json = any;

/** A small generator of numbers in [0, 1): equal seeds, equal bodies. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    // Mulberry32.
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Longer ones would make bodies slow to read, and say no more. */
const REPEATS_MAX = 600;
const OTHERS = [null, true, false, 0, -1, 1.5, 7, "", "x", [], [null], ["x"], [[]], {}, { foo: 1 }];

export class JsonValues {
  /** Values of enumerations that were made, each by its place in the schema. */
  readonly enumerated = new Set<string>();

  /** @param faultChance Of each value, to be one that its schema does not describe. */
  constructor(readonly random: () => number, readonly faultChance: number) {}

  #pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random() * items.length)]!;
  }

  /** @param place Names the schema. */
  make(schema: Json, place: string): Json {
    if (this.random() < this.faultChance) return this.#fault(schema, place);
    if (schema.anyOf !== undefined) {
      const index = Math.floor(this.random() * schema.anyOf.length);
      return this.make(schema.anyOf[index], `${place}/${index}`);
    }
    if (schema.enum !== undefined) {
      const value = this.#pick<Json>(schema.enum);
      this.enumerated.add(`${place} ${JSON.stringify(value)}`);
      return value;
    }
    const type = Array.isArray(schema.type) ? this.#pick<string>(schema.type) : schema.type;
    switch (type) {
      case "null":
        return null;
      case "boolean":
        return this.random() < 0.5;
      case "integer":
      case "number":
        return this.#number(schema, type === "integer");
      case "string":
        return schema.pattern === undefined
          ? "é\u{1f30a}x".slice(0, this.#pick([0, 1, 4]))
          : this.#pick(["f", "g-1"]);
      case "array":
        return this.#array(schema, place);
      case "object":
        return this.#object(schema, place);
      default:
        return this.#pick(OTHERS);
    }
  }

  #number({ minimum = 0, maximum = 100 }: Json, isInteger: boolean): number {
    const between = minimum + this.random() * (maximum - minimum);
    return this.#pick([minimum, maximum, isInteger ? Math.round(between) : between]);
  }

  #array({ minItems = 0, maxItems = 3, items = {} }: Json, place: string): Json[] {
    const count = Math.min(minItems + Math.floor(this.random() * 3), maxItems);
    return Array.from({ length: count }, () => this.make(items, `${place}[]`));
  }

  #object(schema: Json, place: string): Json {
    const { properties = {}, required = [], additionalProperties, propertyNames } = schema;
    const value: Json = {};
    const share = 0.5 * this.random();
    for (const [name, field] of Object.entries(properties)) {
      if (!required.includes(name) && this.random() > share) continue;
      value[name] = this.make(field, `${place}.${name}`);
    }
    if (typeof additionalProperties === "object" && this.random() < 0.5) {
      const key = propertyNames === undefined ? "key" : "17";
      value[key] = this.make(additionalProperties, `${place}.*`);
    }
    return value;
  }

  #fault(schema: Json, place: string): Json {
    const { minimum, maximum, minLength, maxLength, maxItems, items = {} } = schema;
    const values: Json[] = [...OTHERS];
    if (minimum !== undefined) values.push(minimum - 1, minimum + 0.5);
    if (maximum !== undefined) values.push(maximum + 1, maximum + 0.5);
    if (minLength !== undefined) values.push("");
    if (maxLength <= REPEATS_MAX) {
      values.push("x".repeat(maxLength + 1), "\u{1f30a}".repeat(maxLength));
    }
    if (maxItems <= REPEATS_MAX) {
      const item = this.make(items, `${place}[]`);
      values.push(new Array(maxItems + 1).fill(item), new Array(maxItems).fill(item));
    }
    if (schema.properties !== undefined) values.push(...this.#objectFaults(schema, place));
    if (schema.propertyNames !== undefined) values.push({ a: 1 }, { "01": 1 });
    return this.#pick(values);
  }

  /** One field too many, too few, or null. */
  #objectFaults(schema: Json, place: string): Json[] {
    const value = this.#object(schema, place);
    const field = this.#pick(Object.keys(schema.properties));
    const { [field]: _, ...less } = value;
    return [{ ...value, foo: 1 }, { ...value, foo: null }, less, { ...value, [field]: null }];
  }
}

/** How many values of enumerations a schema has, each by its place. */
export function enumeratedIn(schema: Json, place: string): string[] {
  if (schema.enum !== undefined) {
    return schema.enum.map((value: Json) => `${place} ${JSON.stringify(value)}`);
  }
  return [
    ...(schema.anyOf ?? []).flatMap((it: Json, i: number) => enumeratedIn(it, `${place}/${i}`)),
    ...(schema.items === undefined ? [] : enumeratedIn(schema.items, `${place}[]`)),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, it]) =>
      enumeratedIn(it, `${place}.${name}`)
    ),
  ];
}
