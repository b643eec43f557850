/** What an answer is held to, as schemas: tools and how they are called, and its format. Pure.
 * @module */
import { NAME_CHARS_MAX, TEXT_CHARS_MAX, TOOLS_MAX } from "./bounds.ts";
import {
  anyObject,
  closed,
  flag,
  isTrue,
  list,
  oneOf,
  type Properties,
  refused,
  type Rule,
  type Schema,
  text,
} from "./schema.ts";

const name = text(NAME_CHARS_MAX);
const JSON_TYPES = ["json_object", "json_schema"];

const TOOL_NAME: Schema = { type: "string", pattern: "^[a-zA-Z0-9_-]{1,64}$" };
const FUNCTION: Properties = {
  name: TOOL_NAME,
  description: text(TEXT_CHARS_MAX),
  parameters: { ...anyObject, description: "A JSON schema of the arguments." },
  strict: { ...flag, description: "Its calls keep the whole schema, or it is refused." },
};
const functionType: Schema = { ...oneOf("function"), refusal: "" };

const tools = (own: Properties, required: readonly string[]): Schema => ({
  ...list(closed({ type: functionType, ...own }, ["type", ...required]), TOOLS_MAX),
  description: "Each with a name of its own.",
});
const choice = (own: Properties, required: readonly string[]): Schema => ({
  description: "A function is one of 'tools'.",
  anyOf: [
    oneOf("none", "auto", "required"),
    closed({ type: functionType, ...own }, ["type", ...required]),
  ],
});

export const CHAT_TOOLS = tools({ function: closed(FUNCTION, ["name"]) }, ["function"]);
export const CHAT_CHOICE = choice({ function: closed({ name }, ["name"]) }, ["function"]);
export const RESPONSES_TOOLS = tools(FUNCTION, ["name"]);
export const RESPONSES_CHOICE = choice({ name }, ["name"]);

const NAMED: Properties = {
  name,
  description: text(TEXT_CHARS_MAX),
  strict: flag,
  schema: { ...anyObject, description: "What a grammar cannot keep is refused by its keyword." },
};
const format = (schema: Properties, required: readonly string[]): Schema => ({
  description: "Constrains the answer: any JSON object, or what a JSON schema allows.",
  tag: "type",
  anyOf: [
    closed({ type: oneOf("text") }, ["type"]),
    closed({ type: oneOf("json_object") }, ["type"]),
    closed({ type: oneOf("json_schema"), ...schema }, ["type", ...required]),
  ],
});

export const RESPONSE_FORMAT = format({ json_schema: closed(NAMED, ["name", "schema"]) }, [
  "json_schema",
]);
export const TEXT = closed({ format: format(NAMED, ["name", "schema"]), verbosity: refused() });

const FORCED: Schema = { anyOf: [{ enum: ["required"] }, anyObject] };
const CHOICE_NEEDS_TOOLS: Rule = {
  not: {
    properties: { tool_choice: FORCED, tools: { maxItems: 0 } },
    required: ["tool_choice"],
  },
  param: "tool_choice",
  code: "invalid",
  message: "'tool_choice' needs 'tools' to choose from.",
};

/** An answer that has a form ends where the form does. */
const ends = (properties: Properties): Rule => ({
  not: {
    properties: { ignore_eos: isTrue, ...properties },
    required: ["ignore_eos", Object.keys(properties)[0]!],
  },
  param: "ignore_eos",
  code: "invalid",
  message: "'ignore_eos' would never let a JSON answer end.",
});
const isJson: Schema = { properties: { type: { enum: JSON_TYPES } }, required: ["type"] };
const isStrict: Schema = { properties: { strict: isTrue }, required: ["strict"] };
const isStrictChat: Schema = { properties: { function: isStrict }, required: ["function"] };
const strictEnds = (tool: Schema) =>
  ends({ tools: { contains: tool }, tool_choice: { enum: ["auto"] } });
const FORCED_ENDS = ends({ tool_choice: FORCED });

export const CHAT_RULES: readonly Rule[] = [
  CHOICE_NEEDS_TOOLS,
  FORCED_ENDS,
  strictEnds(isStrictChat),
  ends({ response_format: isJson }),
];
export const COMPLETION_RULES: readonly Rule[] = [ends({ response_format: isJson })];
export const RESPONSES_RULES: readonly Rule[] = [
  CHOICE_NEEDS_TOOLS,
  FORCED_ENDS,
  strictEnds(isStrict),
  ends({ text: { properties: { format: isJson }, required: ["format"] } }),
];
