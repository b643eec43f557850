/** JSON schemas as we write them: of answers, and of request bodies, which `check_schema.ts` checks
 * by them and `document_schema.ts` shows. Pure. @module */

/** The part of JSON Schema 2020-12 that we use, and three words of ours for request bodies. There a
 * named field that is `null` counts as absent, as at OpenAI. */
export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  items?: Schema;
  contains?: Schema;
  anyOf?: readonly Schema[];
  properties?: Record<string, Schema>;
  required?: readonly string[];
  maxProperties?: number;
  propertyNames?: Schema;
  additionalProperties?: boolean | Schema;
  /** Of answers alone: what several of them hold. */
  $ref?: string;
  /** Of `anyOf`: the field that tells its objects apart. Without it, it is the first. */
  tag?: string;
  /** Other values are the OpenAI API's, but not supported here; why, or what to use instead. May be
   * empty. */
  refusal?: string;
  /** Of an object: what its fields may not be together. */
  rules?: readonly Rule[];
}

/** A body that matches `not` is refused. */
export interface Rule {
  not: Schema;
  /** The field at fault. */
  param: string;
  code: "invalid" | "missing" | "unsupported";
  message: string;
}

export type Properties = Record<string, Schema>;

export const anything: Schema = {};
export const flag: Schema = { type: "boolean" };
export const anyObject: Schema = { type: "object" };
export const isTrue: Schema = { enum: [true] };
/** In a rule: the field is not there. */
export const isAbsent: Schema = { type: "null" };

export function number(minimum: number, maximum: number): Schema {
  return { type: "number", minimum, maximum };
}

export function integer(minimum: number, maximum: number): Schema {
  return { type: "integer", minimum, maximum };
}

/** @param maxLength In code points. */
export function text(maxLength: number): Schema {
  return { type: "string", maxLength };
}

export function nonEmpty(maxLength: number): Schema {
  return { type: "string", minLength: 1, maxLength };
}

export function oneOf(...values: readonly string[]): Schema {
  return { type: "string", enum: values };
}

export function list(items: Schema, maxItems: number, minItems?: number): Schema {
  return { type: "array", items, maxItems, ...(minItems === undefined ? {} : { minItems }) };
}

/** With these fields and no others. */
export function closed(properties: Properties, required: readonly string[] = []): Schema {
  return { type: "object", properties, required, additionalProperties: false };
}

/** With these fields, and others that are not read. */
export function open(properties: Properties, required: readonly string[] = []): Schema {
  return { type: "object", properties, required };
}

/** A field of the OpenAI API that is not supported. */
export function refused(refusal = ""): Schema {
  return { type: "null", refusal };
}

/** What the document, and an error, says of the values that `refusal` refuses. */
export function refusalText(schema: Schema, name = "This"): string {
  const reason = schema.refusal === "" ? "." : `: ${schema.refusal}.`;
  if (schema.enum === undefined && schema.anyOf === undefined) {
    return `${name} is not supported${reason}`;
  }
  return `${name} is only supported as ${choicesOf(schema)}${reason}`;
}

/** The values of an enumeration, or of the tags of a union. */
export function choicesOf({ enum: values, anyOf = [], tag }: Schema): string {
  const all = values ?? anyOf.flatMap(({ properties }) => properties?.[tag!]?.enum ?? []);
  return all.map((value) => typeof value === "string" ? `'${value}'` : String(value)).join(", ");
}
