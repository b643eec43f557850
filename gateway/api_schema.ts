/** Request bodies as schemas: `check_schema.ts` refuses what they do not allow, and the OpenAPI
 * document is made of them. Pure. @module */
import { LIMITS } from "../proto/limits.ts";
import * as bounds from "./bounds.ts";
import {
  CHAT_CHOICE,
  CHAT_RULES,
  CHAT_TOOLS,
  COMPLETION_RULES,
  RESPONSE_FORMAT,
  RESPONSES_CHOICE,
  RESPONSES_RULES,
  RESPONSES_TOOLS,
  TEXT,
} from "./form_schema.ts";
import { INPUT, MESSAGES } from "./message_schema.ts";
import {
  anyObject,
  closed,
  flag,
  integer,
  isAbsent,
  isTrue,
  list,
  nonEmpty,
  number,
  oneOf,
  type Properties,
  refused,
  type Rule,
  type Schema,
  text,
} from "./schema.ts";

const name = text(bounds.NAME_CHARS_MAX);
const longText = text(bounds.TEXT_CHARS_MAX);
const tokenLimit = integer(1, bounds.TOKENS_MAX);
const never: Schema = { type: "boolean", enum: [false], refusal: "nothing is kept here" };

const FIXED_BUDGET = ["beam_width", "beam_length", "packed_max"];
const SPECULATION: Schema = {
  ...closed({
    mode: oneOf("default", "off", "fixed"),
    beam_width: integer(1, LIMITS.beamWidthMax),
    beam_length: integer(1, LIMITS.beamLengthMax),
    packed_max: integer(1, LIMITS.treeTokensMax),
    trace: flag,
  }),
  rules: FIXED_BUDGET.map((param) => ({
    not: { properties: { mode: { enum: ["fixed"] }, [param]: isAbsent }, required: ["mode"] },
    param,
    code: "missing",
    message: `The mode 'fixed' needs '${param}'.`,
  })),
};

const SAMPLING: Properties = {
  temperature: number(0, 2),
  top_p: number(0, 1),
  top_k: integer(-1, LIMITS.topKMax),
  min_p: number(0, 1),
  frequency_penalty: number(-2, 2),
  presence_penalty: number(-2, 2),
  repetition_penalty: number(0.01, 10),
  logit_bias: {
    type: "object",
    propertyNames: { pattern: "^(0|[1-9][0-9]{0,8})$", description: "token ids as keys" },
    maxProperties: bounds.LOGIT_BIASES_MAX,
    additionalProperties: number(-100, 100),
  },
  seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  ignore_eos: flag,
  speculation: SPECULATION,
};

/** Checked though unused: a wrong type here is a client's bug that it should hear of. */
const LABELS: Properties = {
  user: name,
  metadata: anyObject,
  store: never,
  service_tier: name,
  safety_identifier: name,
  prompt_cache_key: name,
  prompt_cache_retention: name,
};

/** What chats and completions share. */
const COMPLETION: Properties = {
  model: name,
  ...SAMPLING,
  ...LABELS,
  stream: flag,
  stream_options: closed({
    include_usage: flag,
    include_obfuscation: flag,
    continuous_usage_stats: refused(),
  }),
  max_tokens: tokenLimit,
  n: {
    ...integer(1, bounds.CHOICES_MAX),
    description: `Times the prompts, at most ${bounds.GENERATIONS_MAX}.`,
  },
  stop: {
    anyOf: [
      nonEmpty(bounds.STOP_CHARS_MAX),
      list(nonEmpty(bounds.STOP_CHARS_MAX), bounds.STOP_STRINGS_MAX),
    ],
  },
  response_format: RESPONSE_FORMAT,
  functions: { type: "array", maxItems: 0, refusal: "use 'tools'" },
  function_call: { ...oneOf("none", "auto"), refusal: "use 'tool_choice'" },
  modalities: list({ ...oneOf("text"), refusal: "" }, 8),
  audio: refused(),
  prediction: refused(),
  reasoning_effort: refused(),
  verbosity: refused(),
  web_search_options: refused(),
};

const OPTIONS_NEED_STREAM: Rule = {
  not: { properties: { stream: { enum: [false] } }, required: ["stream_options"] },
  param: "stream_options",
  code: "invalid",
  message: "'stream_options' is only allowed when 'stream' is true.",
};

export const CHAT_REQUEST: Schema = {
  ...closed({
    ...COMPLETION,
    messages: MESSAGES,
    max_completion_tokens: { ...tokenLimit, description: "With 'max_tokens', the same number." },
    logprobs: flag,
    top_logprobs: integer(0, bounds.TOP_LOGPROBS_MAX),
    parallel_tool_calls: flag,
    tools: CHAT_TOOLS,
    tool_choice: CHAT_CHOICE,
  }, ["model", "messages"]),
  rules: [OPTIONS_NEED_STREAM, ...CHAT_RULES, {
    not: { properties: { logprobs: { enum: [false] } }, required: ["top_logprobs"] },
    param: "top_logprobs",
    code: "invalid",
    message: "'top_logprobs' needs 'logprobs' to be true.",
  }],
};

const TOKEN_ID = integer(0, 0xffff_ffff);
const TOKEN_IDS = list(TOKEN_ID, bounds.TOKENS_MAX, 1);
const PROMPT = nonEmpty(bounds.TEXT_CHARS_MAX);

export const COMPLETION_REQUEST: Schema = {
  ...closed({
    ...COMPLETION,
    prompt: {
      anyOf: [
        PROMPT,
        TOKEN_IDS,
        list({ anyOf: [PROMPT, TOKEN_IDS] }, bounds.PROMPTS_MAX, 1),
      ],
    },
    echo: flag,
    logprobs: integer(0, bounds.TOP_LOGPROBS_MAX),
    best_of: { ...integer(1, 20), description: "No other than 'n'." },
    suffix: { ...oneOf(""), refusal: "text comes after the prompt alone" },
  }, ["model", "prompt"]),
  rules: [OPTIONS_NEED_STREAM, ...COMPLETION_RULES, {
    not: { properties: { echo: isTrue }, required: ["echo", "logprobs"] },
    param: "logprobs",
    code: "unsupported",
    message: "'logprobs' together with 'echo' is not supported.",
  }],
};

/** In `include`: asks for log-probabilities. */
export const LOGPROBS_INCLUDE = "message.output_text.logprobs";
const INCLUDES: Schema = { ...oneOf(LOGPROBS_INCLUDE, "reasoning.encrypted_content"), refusal: "" };
const STATELESS = refused("nothing is kept here, so send the whole input");

export const RESPONSES_REQUEST: Schema = {
  ...closed({
    model: name,
    ...SAMPLING,
    ...LABELS,
    metadata: { type: "object", maxProperties: bounds.METADATA_MAX, additionalProperties: name },
    input: INPUT,
    instructions: longText,
    max_output_tokens: tokenLimit,
    stream: flag,
    stream_options: closed({ include_obfuscation: flag }),
    include: list(INCLUDES, 16),
    top_logprobs: integer(0, bounds.TOP_LOGPROBS_MAX),
    text: TEXT,
    truncation: { ...oneOf("disabled"), refusal: "" },
    background: never,
    previous_response_id: STATELESS,
    conversation: STATELESS,
    prompt: refused("send the whole input"),
    reasoning: { type: "object", additionalProperties: refused() },
    tools: RESPONSES_TOOLS,
    tool_choice: RESPONSES_CHOICE,
    parallel_tool_calls: flag,
    max_tool_calls: integer(0, bounds.TOKENS_MAX),
  }, ["model", "input"]),
  rules: [...RESPONSES_RULES, {
    not: {
      properties: {
        top_logprobs: { type: "integer", minimum: 1 },
        include: { items: { enum: INCLUDES.enum!.filter((item) => item !== LOGPROBS_INCLUDE) } },
      },
      required: ["top_logprobs"],
    },
    param: "top_logprobs",
    code: "invalid",
    message: `'top_logprobs' needs '${LOGPROBS_INCLUDE}' in 'include'.`,
  }],
};

const MODEL_OR_ONLY: Schema = { ...name, description: "Where there is one model: that one." };
/** Fields of vLLM's that change the template, which is the model's own here. */
const NO_TEMPLATE = refused("the model's own template is used");
const NO_ARGUMENTS: Schema = {
  type: "object",
  maxProperties: 0,
  refusal: "templates take no further arguments",
};

export const TOKENIZE_REQUEST: Schema = {
  ...closed({
    model: MODEL_OR_ONLY,
    prompt: longText,
    messages: MESSAGES,
    tools: CHAT_TOOLS,
    add_special_tokens: {
      ...flag,
      description: "The BOS token, where the model has one: true for a prompt. A template has it.",
    },
    add_generation_prompt: {
      ...flag,
      description: "Ends messages with the start of an answer: true.",
    },
    return_token_strs: flag,
    continue_final_message: { type: "boolean", enum: [false], refusal: "" },
    chat_template: NO_TEMPLATE,
    chat_template_kwargs: NO_ARGUMENTS,
    mm_processor_kwargs: NO_ARGUMENTS,
  }),
  rules: [
    {
      not: { properties: { prompt: isAbsent, messages: isAbsent } },
      param: "prompt",
      code: "missing",
      message: "'prompt' or 'messages' is needed.",
    },
    {
      not: { required: ["prompt", "messages"] },
      param: "prompt",
      code: "invalid",
      message: "'prompt' and 'messages' exclude each other.",
    },
    needsMessages("tools", { type: "array", minItems: 1 }),
    needsMessages("add_generation_prompt", flag),
    {
      not: {
        properties: { add_special_tokens: isTrue },
        required: ["messages", "add_special_tokens"],
      },
      param: "add_special_tokens",
      code: "unsupported",
      message: "'add_special_tokens' needs 'prompt': the template writes those of a chat.",
    },
  ],
};

function needsMessages(param: string, schema: Schema): Rule {
  const message = `'${param}' needs 'messages'.`;
  const not = { properties: { [param]: schema, messages: isAbsent }, required: [param] };
  return { not, param, code: "invalid", message };
}

export const DETOKENIZE_REQUEST: Schema = closed({
  model: MODEL_OR_ONLY,
  tokens: list(TOKEN_ID, bounds.TOKENS_MAX),
}, ["tokens"]);
