/** Where JSON ends: a body that its schema allows becomes a `GenerateRequest`. Pure. @module */
import { CALL_CLOSE } from "../proto/answer_grammar.ts";
import { CHAT_REQUEST, COMPLETION_REQUEST } from "./api_schema.ts";
import { GENERATIONS_MAX } from "./bounds.ts";
import { checkBody } from "./check_schema.ts";
import { invalidValue, unsupported } from "./errors.ts";
import { Fields } from "./fields.ts";
import { readResponseFormat } from "./request_format.ts";
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

/** @throws {ApiError} 400, naming the field. */
export function readChatRequest(body: unknown): GenerateRequest {
  checkBody(CHAT_REQUEST, body);
  const fields = Fields.of(body);
  const limit = readTokensMax(fields, ["max_completion_tokens", "max_tokens"]);
  const wantLogprobs = fields.boolean("logprobs") ?? false;
  const topLogprobs = fields.integer("top_logprobs") ?? 0;
  const shared = readShared(fields, wantLogprobs ? 1 + topLogprobs : 0);
  return {
    ...shared,
    ...withTools(readTools(fields, "chat"), shared, readMessages(fields), "chat"),
    route: "chat",
    tokensMax: limit,
    echo: false,
  };
}

/** What tools change of a request.
 * @throws {ApiError} 400, naming the field. */
export function withTools(
  tools: ToolUse | undefined,
  { schema, stop }: { schema: string; stop: string[] },
  messages: ChatMessage[],
  style: ToolStyle,
): Pick<GenerateRequest, "prompts" | "schema" | "stop" | "tools"> {
  if (tools === undefined) return { prompts: [{ kind: "messages", messages }], schema, stop };
  const form = toolForm(tools, schema, style);
  // One call alone: the answer is over with it.
  const stops = tools.callsMax === 1 ? [...stop, CALL_CLOSE] : stop;
  const prompts: Prompt[] = [{ kind: "messages", messages, tools: tools.tools }];
  return { prompts, schema: form, stop: stops, tools };
}

/** @throws {ApiError} 400, naming the field. */
export function readCompletionRequest(body: unknown): GenerateRequest {
  checkBody(COMPLETION_REQUEST, body);
  const fields = Fields.of(body);
  const logprobs = fields.integer("logprobs");
  const shared = readShared(fields, logprobs === undefined ? 0 : 1 + logprobs);
  const bestOf = fields.integer("best_of");
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
    tokensMax: readTokensMax(fields, ["max_tokens"]) ?? COMPLETION_TOKENS_DEFAULT,
    echo: fields.boolean("echo") ?? false,
  };
}

function readShared(fields: Fields, logprobs: number) {
  const options = fields.object("stream_options");
  return {
    model: fields.requiredString("model"),
    choiceCount: fields.integer("n") ?? 1,
    stop: readStop(fields),
    ignoreEos: fields.boolean("ignore_eos") ?? false,
    schema: readResponseFormat(fields),
    sampling: readSampling(fields, logprobs),
    speculation: readSpeculation(fields),
    stream: fields.boolean("stream") ?? false,
    includeUsage: options?.boolean("include_usage") ?? false,
    includeObfuscation: options?.boolean("include_obfuscation") ?? false,
  };
}

function readTokensMax(fields: Fields, names: string[]): number | undefined {
  let limit: number | undefined;
  for (const name of names) {
    const value = fields.integer(name);
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
  const value = fields.get("prompt") as string | number[] | Array<string | number[]>;
  if (typeof value === "string") return [{ kind: "text", text: value }];
  if (typeof value[0] === "number") return [readTokens(value as number[])];
  return (value as Array<string | number[]>).map((item) =>
    typeof item === "string" ? { kind: "text", text: item } : readTokens(item)
  );
}

function readTokens(values: number[]): Prompt {
  return { kind: "tokens", tokens: new Uint32Array(values) };
}
