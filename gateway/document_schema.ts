/** Schemas of request bodies in plain JSON Schema, for the OpenAPI document. Pure. @module */
import { type Properties, refusalText, type Schema } from "./schema.ts";

const NULL = { type: "null" };

/** Means what `check_schema.ts` does: `null` for a field that may be absent, rules as `not`. */
export function documented(schema: Schema): Record<string, unknown> {
  const { tag: _, refusal, rules, required, properties, ...plain } = schema;
  const { items, contains, anyOf, propertyNames, additionalProperties, ...words } = plain;
  const text = [words.description, refusal === undefined ? undefined : refusalText(schema)];
  const description = text.filter((part) => part !== undefined).join(" ");
  return {
    ...words,
    ...(description === "" ? {} : { description }),
    ...(properties === undefined && required === undefined
      ? {}
      : { properties: documentedFields(properties ?? {}, required ?? []) }),
    ...(required === undefined || required.length === 0 ? {} : { required }),
    ...(items === undefined ? {} : { items: documented(items) }),
    ...(contains === undefined ? {} : { contains: documented(contains) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(documented) }),
    ...(propertyNames === undefined ? {} : { propertyNames: documented(propertyNames) }),
    ...(additionalProperties === undefined ? {} : {
      additionalProperties: typeof additionalProperties === "boolean"
        ? additionalProperties
        : documented(additionalProperties),
    }),
    ...(rules === undefined ? {} : {
      allOf: rules.map(({ not, message }) => ({
        description: message,
        // Without the type, `null` would match all that is said of an object's fields.
        not: { type: "object", ...documented(not) },
      })),
    }),
  };
}

function documentedFields(properties: Properties, required: readonly string[]) {
  const optional = Object.entries(properties).filter(([name]) => !required.includes(name));
  return Object.fromEntries([
    ...required.map((name) => [name, present(properties[name] ?? {})]),
    ...optional.map(([name, schema]) => [name, orNull(documented(schema))]),
  ]);
}

/** A required field that is `null` is not there. */
function present(schema: Schema): Record<string, unknown> {
  const isTyped = schema.type ?? schema.enum ?? schema.anyOf;
  return isTyped ? documented(schema) : { ...documented(schema), not: NULL };
}

function orNull(schema: Record<string, unknown>): Record<string, unknown> {
  const { type, enum: values, anyOf } = schema;
  if (Array.isArray(anyOf)) return { ...schema, anyOf: [...anyOf, NULL] };
  return {
    ...schema,
    ...(type === undefined || type === "null" ? {} : { type: [type, "null"] }),
    ...(Array.isArray(values) ? { enum: [...values, null] } : {}),
  };
}
