/** A body of `/v1/responses`, stateless: what would need something kept here is refused. Pure.
 * @module */
import {
  MESSAGES_MAX,
  NAME_CHARS_MAX,
  namesOf,
  RESPONSES_PROPERTIES,
  TEXT_CHARS_MAX,
  TOKENS_MAX,
  TOP_LOGPROBS_MAX,
} from "./api_schema.ts";
import { invalidType, invalidValue, missing, unsupported } from "./errors.ts";
import { checkString, Fields } from "./fields.ts";
import type { GenerateRequest } from "./request.ts";
import type { ChatMessage } from "./request_messages.ts";
import { readSampling, readSpeculation } from "./request_sampling.ts";

const PARTS_MAX = 4096;
const METADATA_MAX = 16;
const LOGPROBS_INCLUDE = "message.output_text.logprobs";
const ROLES = ["system", "developer", "user", "assistant"] as const;

/** What the answer repeats of its request. */
export interface ResponsesEcho {
  instructions: string | null;
  metadata: Record<string, string>;
  user: string | null;
  topLogprobs: number;
}

const FIELDS = namesOf(RESPONSES_PROPERTIES);
const MESSAGE_FIELDS: ReadonlySet<string> = new Set(["type", "id", "status", "role", "content"]);

/** @throws {ApiError} 400, naming the field. */
export function readResponsesRequest(body: unknown): GenerateRequest {
  const fields = Fields.of(body);
  fields.refuseUnknown(FIELDS);
  refuseState(fields);
  refuseForeign(fields);
  const stream = fields.boolean("stream") ?? false;
  const options = fields.object("stream_options");
  options?.refuseUnknown(new Set(["include_obfuscation"]));
  const topLogprobs = fields.integer("top_logprobs", 0, TOP_LOGPROBS_MAX) ?? 0;
  const wantLogprobs = readInclude(fields);
  if (topLogprobs > 0 && !wantLogprobs) {
    const message = `'top_logprobs' needs '${LOGPROBS_INCLUDE}' in 'include'.`;
    throw invalidValue("top_logprobs", message);
  }
  const instructions = fields.string("instructions", TEXT_CHARS_MAX);
  const messages = readInput(fields);
  if (instructions !== undefined) messages.unshift({ role: "system", content: instructions });
  const sampling = readSampling(fields, wantLogprobs ? 1 + topLogprobs : 0);
  return {
    route: "response",
    model: fields.requiredString("model", NAME_CHARS_MAX),
    prompts: [{ kind: "messages", messages }],
    choiceCount: 1,
    tokensMax: fields.integer("max_output_tokens", 1, TOKENS_MAX),
    stop: [],
    ignoreEos: fields.boolean("ignore_eos") ?? false,
    echo: false,
    sampling,
    speculation: readSpeculation(fields),
    stream,
    includeUsage: true,
    includeObfuscation: options?.boolean("include_obfuscation") ?? false,
    responses: {
      instructions: instructions ?? null,
      metadata: readMetadata(fields),
      user: fields.string("user", NAME_CHARS_MAX) ?? null,
      topLogprobs,
    },
  };
}

/** Nothing is kept between requests. */
function refuseState(fields: Fields): void {
  for (const field of ["store", "background"]) {
    if (!fields.boolean(field)) continue;
    throw unsupported(field, `'${field}' is not supported: nothing is kept here.`);
  }
  for (const field of ["previous_response_id", "conversation", "prompt"]) {
    if (!fields.has(field)) continue;
    throw unsupported(field, `'${field}' is not supported: send the whole input instead.`);
  }
}

function refuseForeign(fields: Fields): void {
  if ((fields.array("tools", 1024)?.length ?? 0) > 0) {
    throw unsupported("tools", "'tools' is not supported: this server does not call tools.");
  }
  const choice = fields.get("tool_choice");
  if (choice !== undefined && choice !== "none" && choice !== "auto") {
    throw unsupported("tool_choice", "'tool_choice' is not supported.");
  }
  fields.boolean("parallel_tool_calls");
  fields.integer("max_tool_calls", 0, TOKENS_MAX);
  const format = fields.object("text")?.object("format");
  if (format !== undefined && format.requiredString("type", NAME_CHARS_MAX) !== "text") {
    throw unsupported("text.format", "'text.format' other than 'text' is not supported.");
  }
  if (fields.oneOf("truncation", ["disabled", "auto"]) === "auto") {
    throw unsupported("truncation", "'truncation' other than 'disabled' is not supported.");
  }
  const reasoning = fields.object("reasoning");
  for (const field of reasoning?.keys() ?? []) {
    if (!reasoning!.has(field)) continue;
    throw unsupported(reasoning!.name(field), "'reasoning' is not supported.");
  }
  for (const field of ["service_tier", "safety_identifier", "prompt_cache_key"]) {
    fields.string(field, NAME_CHARS_MAX);
  }
}

/** @returns Whether log-probabilities are asked for. */
function readInclude(fields: Fields): boolean {
  const items = fields.array("include", 16) ?? [];
  for (const [i, item] of items.entries()) {
    if (item === LOGPROBS_INCLUDE || item === "reasoning.encrypted_content") continue;
    throw unsupported(`include[${i}]`, `'include[${i}]' asks for what is not here.`);
  }
  return items.includes(LOGPROBS_INCLUDE);
}

function readMetadata(fields: Fields): Record<string, string> {
  const metadata = fields.object("metadata");
  if (metadata === undefined) return {};
  const keys = metadata.keys();
  if (keys.length > METADATA_MAX) {
    throw invalidValue("metadata", `'metadata' has over ${METADATA_MAX} entries.`);
  }
  return Object.fromEntries(keys.map((key) => [key, metadata.requiredString(key, NAME_CHARS_MAX)]));
}

function readInput(fields: Fields): ChatMessage[] {
  const value = fields.get("input");
  if (value === undefined) throw missing("input");
  if (typeof value === "string") {
    return [{ role: "user", content: checkString(value, "input", TEXT_CHARS_MAX) }];
  }
  if (!Array.isArray(value)) throw invalidType("input", "a string or an array");
  const items = fields.array("input", MESSAGES_MAX)!;
  if (items.length === 0) throw invalidValue("input", "'input' is empty.");
  return items.map((item, i) => readItem(Fields.of(item, `input[${i}]`)));
}

/** A message, as a client writes it or as an earlier answer of ours had it. */
function readItem(item: Fields): ChatMessage {
  const type = item.string("type", 64) ?? "message";
  if (type !== "message") {
    throw unsupported(item.name("type"), "Only input items of type 'message' are supported.");
  }
  item.refuseUnknown(MESSAGE_FIELDS);
  const role = item.oneOf("role", ROLES);
  if (role === undefined) throw missing(item.name("role"));
  const value = item.get("content");
  const name = item.name("content");
  if (value === undefined) throw missing(name);
  const content = typeof value === "string"
    ? checkString(value, name, TEXT_CHARS_MAX)
    : readParts(item, name);
  return { role: role === "developer" ? "system" : role, content };
}

function readParts(item: Fields, name: string): string {
  let text = "";
  item.array("content", PARTS_MAX)!.forEach((value, i) => {
    const part = Fields.of(value, `${name}[${i}]`);
    const type = part.requiredString("type", 64);
    if (type !== "input_text" && type !== "output_text") {
      const message = "Only content parts of type 'input_text' and 'output_text' are supported.";
      throw unsupported(part.name("type"), message);
    }
    text += part.requiredString("text", TEXT_CHARS_MAX);
  });
  return text;
}
