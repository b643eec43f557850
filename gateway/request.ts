/** Where JSON ends: a body becomes a `GenerateRequest`, every field typed, bounded and named in its
 * error. Pure. @module */
import {
  CHAT_PROPERTIES,
  CHOICES_MAX,
  COMPLETION_PROPERTIES,
  NAME_CHARS_MAX,
  namesOf,
  TEXT_CHARS_MAX,
  TOKENS_MAX,
  TOOLS_MAX,
  TOP_LOGPROBS_MAX,
} from "./api_schema.ts";
import { CALL_CLOSE } from "../proto/answer_grammar.ts";
import { invalidType, invalidValue, missing, unsupported } from "./errors.ts";
import { checkString, Fields } from "./fields.ts";
import { readResponseFormat, refuseEndless } from "./request_format.ts";
import { type ChatMessage, readMessages } from "./request_messages.ts";
import type { ResponsesEcho } from "./request_responses.ts";
import { readSampling, readSpeculation, readStop } from "./request_sampling.ts";
import type { SamplingParameters, SpeculationParameters } from "./request_sampling.ts";
import {
  type FunctionTool,
  readTools,
  toolForm,
  type ToolStyle,
  type ToolUse,
} from "./request_tools.ts";

export const PROMPTS_MAX = 64;
/** Prompts times choices: what one request may start at once. */
export const GENERATIONS_MAX = 64;
/** OpenAI's own default for the completions route. */
const COMPLETION_TOKENS_DEFAULT = 16;

export type Prompt =
  | { kind: "messages"; messages: ChatMessage[]; tools?: FunctionTool[] }
  | { kind: "text"; text: string }
  | { kind: "tokens"; tokens: Uint32Array };

export interface GenerateRequest {
  route: "chat" | "completion" | "response";
  model: string;
  /** One for chat; one a choice group for completions. */
  prompts: Prompt[];
  /** Choices for each prompt. */
  choiceCount: number;
  /** `undefined`: as many as the context holds. */
  tokensMax: number | undefined;
  stop: string[];
  ignoreEos: boolean;
  echo: boolean;
  sampling: SamplingParameters;
  speculation: SpeculationParameters | undefined;
  stream: boolean;
  includeUsage: boolean;
  includeObfuscation: boolean;
  /** The text of the form that the answers keep; empty or absent = free. */
  schema?: string;
  /** Where tools may be called. */
  tools?: ToolUse;
  /** Of `/v1/responses` alone. */
  responses?: ResponsesEcho;
}

const CHAT_FIELDS = namesOf(CHAT_PROPERTIES);
const COMPLETION_FIELDS = namesOf(COMPLETION_PROPERTIES);

/** @throws {ApiError} 400, naming the field. */
export function readChatRequest(body: unknown): GenerateRequest {
  const fields = Fields.of(body);
  fields.refuseUnknown(CHAT_FIELDS);
  refuseForeignFeatures(fields);
  const limit = readTokensMax(fields, ["max_completion_tokens", "max_tokens"], 1);
  const wantLogprobs = fields.boolean("logprobs") ?? false;
  const topLogprobs = fields.integer("top_logprobs", 0, TOP_LOGPROBS_MAX);
  if (topLogprobs !== undefined && !wantLogprobs) {
    throw invalidValue("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
  }
  const shared = readShared(fields, wantLogprobs ? 1 + (topLogprobs ?? 0) : 0);
  return {
    ...shared,
    ...withTools(fields, readTools(fields, "chat"), shared, readMessages(fields), "chat"),
    route: "chat",
    tokensMax: limit,
    echo: false,
  };
}

/** What tools change of a request.
 * @throws {ApiError} 400, naming the field. */
export function withTools(
  fields: Fields,
  tools: ToolUse | undefined,
  { schema, stop }: { schema: string; stop: string[] },
  messages: ChatMessage[],
  style: ToolStyle,
): Pick<GenerateRequest, "prompts" | "schema" | "stop" | "tools"> {
  if (tools === undefined) return { prompts: [{ kind: "messages", messages }], schema, stop };
  const form = toolForm(tools, schema, style);
  if (form !== "") refuseEndless(fields);
  // One call alone: the answer is over with it.
  const stops = tools.callsMax === 1 ? [...stop, CALL_CLOSE] : stop;
  const prompts: Prompt[] = [{ kind: "messages", messages, tools: tools.tools }];
  return { prompts, schema: form, stop: stops, tools };
}

/** @throws {ApiError} 400, naming the field. */
export function readCompletionRequest(body: unknown): GenerateRequest {
  const fields = Fields.of(body);
  fields.refuseUnknown(COMPLETION_FIELDS);
  refuseForeignFeatures(fields);
  if (fields.has("suffix") && fields.get("suffix") !== "") {
    throw unsupported("suffix", "'suffix' (text after the insertion) is not supported.");
  }
  const echo = fields.boolean("echo") ?? false;
  const logprobs = fields.integer("logprobs", 0, TOP_LOGPROBS_MAX);
  if (echo && logprobs !== undefined) {
    throw unsupported("logprobs", "'logprobs' together with 'echo' is not supported.");
  }
  const shared = readShared(fields, logprobs === undefined ? 0 : 1 + logprobs);
  const bestOf = fields.integer("best_of", 1, 20);
  if (bestOf !== undefined && bestOf !== shared.choiceCount) {
    throw unsupported("best_of", "'best_of' other than 'n' is not supported.");
  }
  const prompts = readPrompts(fields);
  if (prompts.length * shared.choiceCount > GENERATIONS_MAX) {
    throw invalidValue(
      "n",
      `'prompt' times 'n' asks for ${prompts.length * shared.choiceCount} choices, ` +
        `at most ${GENERATIONS_MAX} are allowed.`,
    );
  }
  return {
    ...shared,
    route: "completion",
    prompts,
    tokensMax: readTokensMax(fields, ["max_tokens"], 1) ?? COMPLETION_TOKENS_DEFAULT,
    echo,
  };
}

function readShared(fields: Fields, logprobs: number) {
  const stream = fields.boolean("stream") ?? false;
  const options = fields.object("stream_options");
  if (options !== undefined && !stream) {
    throw invalidValue("stream_options", "'stream_options' is only allowed when 'stream' is true.");
  }
  options?.refuseUnknown(STREAM_OPTIONS);
  readHarmless(fields);
  return {
    model: fields.requiredString("model", NAME_CHARS_MAX),
    choiceCount: fields.integer("n", 1, CHOICES_MAX) ?? 1,
    stop: readStop(fields),
    ignoreEos: fields.boolean("ignore_eos") ?? false,
    schema: readResponseFormat(fields),
    sampling: readSampling(fields, logprobs),
    speculation: readSpeculation(fields),
    stream,
    includeUsage: options?.boolean("include_usage") ?? false,
    includeObfuscation: options?.boolean("include_obfuscation") ?? false,
  };
}

const STREAM_OPTIONS: ReadonlySet<string> = new Set(["include_usage", "include_obfuscation"]);

/** Checked though unused: a wrong type here is a client's bug that it should hear of. */
function readHarmless(fields: Fields): void {
  fields.string("user", NAME_CHARS_MAX);
  fields.string("service_tier", NAME_CHARS_MAX);
  fields.string("safety_identifier", NAME_CHARS_MAX);
  fields.string("prompt_cache_key", NAME_CHARS_MAX);
  fields.object("metadata");
  if (fields.boolean("store")) {
    throw unsupported("store", "'store' is not supported: nothing is kept here.");
  }
}

/** Features of the API that we do not have: refused by name, unless the value asks for nothing. */
function refuseForeignFeatures(fields: Fields): void {
  if ((fields.array("functions", TOOLS_MAX)?.length ?? 0) > 0) {
    throw unsupported("functions", "'functions' is not supported: use 'tools'.");
  }
  const call = fields.get("function_call");
  if (call !== undefined && call !== "none" && call !== "auto") {
    throw unsupported("function_call", "'function_call' is not supported: use 'tool_choice'.");
  }
  for (const modality of fields.array("modalities", 8) ?? []) {
    if (modality !== "text") {
      throw unsupported("modalities", "'modalities' other than 'text' are not supported.");
    }
  }
  for (
    const field of ["audio", "prediction", "web_search_options", "reasoning_effort", "verbosity"]
  ) {
    if (fields.has(field)) throw unsupported(field, `'${field}' is not supported.`);
  }
}

function readTokensMax(fields: Fields, names: string[], least: number): number | undefined {
  let limit: number | undefined;
  for (const name of names) {
    const value = fields.integer(name, least, TOKENS_MAX);
    if (value === undefined) continue;
    if (limit !== undefined && limit !== value) {
      throw invalidValue(name, `'${name}' and '${names[0]}' differ: give one of them.`);
    }
    limit = value;
  }
  return limit;
}

/** A string, strings, token ids, or lists of token ids. */
function readPrompts(fields: Fields): Prompt[] {
  const value = fields.get("prompt");
  if (value === undefined) throw missing("prompt");
  if (typeof value === "string") return [readTextPrompt(value, "prompt")];
  if (!Array.isArray(value)) throw invalidType("prompt", "a string or an array");
  if (value.length === 0) throw invalidValue("prompt", "'prompt' is empty.");
  if (typeof value[0] === "number") return [readTokenPrompt(value, "prompt")];
  const items = fields.array("prompt", PROMPTS_MAX)!;
  return items.map((item, i) => {
    const name = `prompt[${i}]`;
    return Array.isArray(item) ? readTokenPrompt(item, name) : readTextPrompt(item, name);
  });
}

function readTextPrompt(value: unknown, name: string): Prompt {
  const text = checkString(value, name, TEXT_CHARS_MAX);
  if (text === "") throw invalidValue(name, `'${name}' is empty.`);
  return { kind: "text", text };
}

function readTokenPrompt(values: unknown[], name: string): Prompt {
  if (values.length === 0) throw invalidValue(name, `'${name}' is empty.`);
  if (values.length > TOKENS_MAX) throw invalidValue(name, `'${name}' is too long.`);
  const tokens = new Uint32Array(values.length);
  for (let i = 0; i < values.length; ++i) {
    const token = values[i];
    if (typeof token !== "number" || !Number.isInteger(token) || token < 0 || token > 0xffffffff) {
      throw invalidType(`${name}[${i}]`, "a token id");
    }
    tokens[i] = token;
  }
  return { kind: "tokens", tokens };
}
