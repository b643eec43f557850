/** The words that the schemas of answers are written with, and what several of them hold. Pure.
 * @module */
import type { Properties, Schema } from "./schema.ts";

export const text: Schema = { type: "string" };
export const number: Schema = { type: "number" };
export const count: Schema = { type: "integer", minimum: 0 };
export const flag: Schema = { type: "boolean" };
export const nothing: Schema = { type: "null" };
export const anyObject: Schema = { type: "object" };
export const list = (items: Schema): Schema => ({ type: "array", items });
export const oneOf = (...values: string[]): Schema => ({ type: "string", enum: values });
export const orNull = (schema: Schema): Schema => ({ anyOf: [schema, nothing] });
export const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
/** Further fields may come with later versions, so clients must not refuse them. */
export const object = (properties: Properties, optional: Properties = {}): Schema => ({
  type: "object",
  properties: { ...properties, ...optional },
  required: Object.keys(properties),
});

export const STEPS = object({ steps: count, tokens_per_step: number });
const TOKEN: Properties = { token: text, logprob: number, bytes: list(count) };
export const TOKEN_LOGPROBS = list(object({ ...TOKEN, top_logprobs: list(object(TOKEN)) }));
