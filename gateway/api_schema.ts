/** Fields of request bodies as JSON schemas: what is not here is refused by name, and what is here
 * is the OpenAPI document. Pure. @module */
import { LIMITS } from "../proto/limits.ts";

/** The part of JSON Schema 2020-12 that we use. */
export interface Schema {
  type?: string | string[];
  description?: string;
  enum?: readonly unknown[];
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  maxItems?: number;
  items?: Schema;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: readonly string[];
  additionalProperties?: boolean | Schema;
  /** Of answers alone: what several of them hold. */
  $ref?: string;
}

export type Properties = Record<string, Schema>;

export const CHOICES_MAX = 16;
export const TOKENS_MAX = 1 << 20;
export const NAME_CHARS_MAX = 512;
export const TEXT_CHARS_MAX = 1 << 24;
export const MESSAGES_MAX = 4096;
export const STOP_STRINGS_MAX = 4;
export const STOP_CHARS_MAX = 256;
export const TOP_LOGPROBS_MAX = 20;
export const TOOLS_MAX = 128;

const number = (minimum: number, maximum: number): Schema => ({ type: "number", minimum, maximum });
const integer = (minimum: number, maximum: number): Schema => ({
  type: "integer",
  minimum,
  maximum,
});
const text = (maxLength: number): Schema => ({ type: "string", maxLength });
const flag: Schema = { type: "boolean" };
const name = text(NAME_CHARS_MAX);
/** Taken where its value asks for nothing; another one is refused by name. */
const inert = (description: string): Schema => ({ description });
const object = (properties: Properties, required: readonly string[] = []): Schema => ({
  type: "object",
  properties,
  required,
  additionalProperties: false,
});

const SAMPLING: Properties = {
  temperature: number(0, 2),
  top_p: number(0, 1),
  top_k: integer(-1, LIMITS.topKMax),
  min_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  repetition_penalty: number(0.01, 10),
  logit_bias: { type: "object", additionalProperties: number(-100, 100) },
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  ignore_eos: flag,
  speculation: object({
    mode: { type: "string", enum: ["default", "off", "fixed"] },
    beam_width: integer(1, LIMITS.beamWidthMax),
    beam_length: integer(1, LIMITS.beamLengthMax),
    packed_max: integer(1, LIMITS.treeTokensMax),
    trace: flag,
  }),
};

const LABELS: Properties = {
  user: name,
  metadata: { type: "object" },
  store: inert("Nothing is kept: true is refused."),
  service_tier: name,
  safety_identifier: name,
  prompt_cache_key: name,
};

const NAMED_SCHEMA: Properties = {
  name,
  description: text(TEXT_CHARS_MAX),
  strict: flag,
  schema: { type: "object" },
};

const COMPLETION: Properties = {
  model: name,
  ...SAMPLING,
  ...LABELS,
  stream: flag,
  stream_options: object({ include_usage: flag, include_obfuscation: flag }),
  max_tokens: integer(1, TOKENS_MAX),
  n: integer(1, CHOICES_MAX),
  stop: {
    anyOf: [
      text(STOP_CHARS_MAX),
      { type: "array", items: text(STOP_CHARS_MAX), maxItems: STOP_STRINGS_MAX },
    ],
  },
  response_format: {
    description: "Constrains the answer: any JSON object, or what a JSON schema allows.",
    type: "object",
    properties: {
      type: { type: "string", enum: ["text", "json_object", "json_schema"] },
      json_schema: {
        type: "object",
        properties: NAMED_SCHEMA,
        required: ["name", "schema"],
        additionalProperties: false,
      },
    },
    required: ["type"],
  },
};

const CONTENT: Schema = {
  anyOf: [text(TEXT_CHARS_MAX), {
    type: "array",
    items: {
      type: "object",
      properties: { type: { type: "string" }, text: text(TEXT_CHARS_MAX) },
      required: ["type", "text"],
    },
  }],
};

const MESSAGES: Schema = {
  type: "array",
  maxItems: MESSAGES_MAX,
  items: {
    type: "object",
    properties: {
      role: { type: "string", enum: ["system", "developer", "user", "assistant", "tool"] },
      content: CONTENT,
      tool_calls: {
        type: "array",
        items: {
          type: "object",
          properties: {
            id: text(256),
            type: { type: "string", enum: ["function"] },
            function: {
              type: "object",
              properties: { name: text(256), arguments: text(TEXT_CHARS_MAX) },
              required: ["name", "arguments"],
            },
          },
          required: ["id", "function"],
        },
      },
      tool_call_id: text(256),
    },
    required: ["role"],
  },
};

const FUNCTION: Properties = {
  name: { type: "string", maxLength: 64, description: "Letters, digits, '_' and '-'." },
  description: text(TEXT_CHARS_MAX),
  parameters: { type: "object", description: "A JSON schema of the arguments." },
  strict: { ...flag, description: "Its calls keep the whole schema, or it is refused." },
};
const FUNCTION_TYPE: Schema = { type: "string", enum: ["function"] };
const tools = (properties: Properties, required: readonly string[]): Schema => ({
  type: "array",
  maxItems: TOOLS_MAX,
  items: object({ type: FUNCTION_TYPE, ...properties }, ["type", ...required]),
});
const choice = (properties: Properties, required: readonly string[]): Schema => ({
  anyOf: [
    { type: "string", enum: ["none", "auto", "required"] },
    object({ type: FUNCTION_TYPE, ...properties }, ["type", ...required]),
  ],
});
const CHAT_TOOLS = tools({ function: object(FUNCTION, ["name"]) }, ["function"]);
const OLD_TOOLS = inert("Refused unless empty: use 'tools'.");

export const CHAT_PROPERTIES: Properties = {
  ...COMPLETION,
  messages: MESSAGES,
  max_completion_tokens: integer(1, TOKENS_MAX),
  logprobs: flag,
  top_logprobs: integer(0, TOP_LOGPROBS_MAX),
  modalities: inert("Other than ['text'] is refused."),
  parallel_tool_calls: flag,
  tools: CHAT_TOOLS,
  tool_choice: choice({ function: object({ name }, ["name"]) }, ["function"]),
  functions: OLD_TOOLS,
  function_call: OLD_TOOLS,
  audio: inert("Refused."),
  prediction: inert("Refused."),
  reasoning_effort: inert("Refused."),
  verbosity: inert("Refused."),
  web_search_options: inert("Refused."),
};

const TOKEN_IDS: Schema = { type: "array", items: integer(0, 0xffff_ffff) };

export const COMPLETION_PROPERTIES: Properties = {
  ...COMPLETION,
  prompt: { anyOf: [text(TEXT_CHARS_MAX), TOKEN_IDS, { type: "array" }] },
  echo: flag,
  logprobs: integer(0, TOP_LOGPROBS_MAX),
  best_of: integer(1, 20),
  suffix: inert("Refused unless empty."),
};

/** Messages, and calls of functions with their outputs. */
const INPUT: Schema = {
  type: "array",
  maxItems: MESSAGES_MAX,
  items: {
    type: "object",
    properties: {
      type: { type: "string", enum: ["message", "function_call", "function_call_output"] },
      role: { type: "string", enum: ["system", "developer", "user", "assistant"] },
      content: CONTENT,
      call_id: text(256),
      name: text(256),
      arguments: text(TEXT_CHARS_MAX),
      output: CONTENT,
    },
  },
};

export const RESPONSES_PROPERTIES: Properties = {
  model: name,
  ...SAMPLING,
  ...LABELS,
  input: { anyOf: [text(TEXT_CHARS_MAX), INPUT] },
  instructions: text(TEXT_CHARS_MAX),
  max_output_tokens: integer(1, TOKENS_MAX),
  stream: flag,
  stream_options: object({ include_obfuscation: flag }),
  include: { type: "array", items: { type: "string" }, maxItems: 16 },
  top_logprobs: integer(0, TOP_LOGPROBS_MAX),
  text: {
    type: "object",
    properties: {
      format: {
        type: "object",
        properties: {
          type: { type: "string", enum: ["text", "json_object", "json_schema"] },
          ...NAMED_SCHEMA,
        },
        required: ["type"],
      },
    },
  },
  truncation: { type: "string", enum: ["disabled"] },
  background: inert("Nothing is kept: true is refused."),
  previous_response_id: inert("Nothing is kept: send the whole input."),
  conversation: inert("Nothing is kept: send the whole input."),
  prompt: inert("Refused."),
  reasoning: inert("Refused unless empty."),
  tools: tools(FUNCTION, ["name"]),
  tool_choice: choice({ name }, ["name"]),
  parallel_tool_calls: flag,
  max_tool_calls: integer(0, TOKENS_MAX),
};

export const TOKENIZE_PROPERTIES: Properties = {
  model: name,
  prompt: text(TEXT_CHARS_MAX),
  messages: MESSAGES,
  tools: CHAT_TOOLS,
  return_token_strs: flag,
};

export const DETOKENIZE_PROPERTIES: Properties = {
  model: name,
  tokens: { ...TOKEN_IDS, maxItems: TOKENS_MAX },
};

/** The names that a body may have. */
export function namesOf(properties: Properties): ReadonlySet<string> {
  return new Set(Object.keys(properties));
}
