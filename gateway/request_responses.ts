/** A body of `/v1/responses`, stateless: what would need something kept here is refused. Pure.
 * @module */
import {
  NAME_CHARS_MAX,
  namesOf,
  RESPONSES_PROPERTIES,
  TEXT_CHARS_MAX,
  TOKENS_MAX,
  TOOLS_MAX,
  TOP_LOGPROBS_MAX,
} from "./api_schema.ts";
import { invalidValue, unsupported } from "./errors.ts";
import { Fields } from "./fields.ts";
import { type GenerateRequest, withTools } from "./request.ts";
import { readTextFormat } from "./request_format.ts";
import { readInput } from "./request_input.ts";
import { readSampling, readSpeculation } from "./request_sampling.ts";
import { readTools } from "./request_tools.ts";

const METADATA_MAX = 16;
const LOGPROBS_INCLUDE = "message.output_text.logprobs";

/** What the answer repeats of its request. */
export interface ResponsesEcho {
  instructions: string | null;
  metadata: Record<string, string>;
  user: string | null;
  topLogprobs: number;
  text: unknown;
  tools: unknown[];
  toolChoice: unknown;
  isParallel: boolean;
}

const FIELDS = namesOf(RESPONSES_PROPERTIES);

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
  const tools = readTools(fields, "responses");
  const free = { schema: readTextFormat(fields), stop: [] };
  return {
    ...withTools(fields, tools, free, messages, "responses"),
    route: "response",
    model: fields.requiredString("model", NAME_CHARS_MAX),
    choiceCount: 1,
    tokensMax: fields.integer("max_output_tokens", 1, TOKENS_MAX),
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
      text: fields.get("text") ?? { format: { type: "text" } },
      tools: fields.array("tools", TOOLS_MAX) ?? [],
      toolChoice: fields.get("tool_choice") ?? "auto",
      isParallel: fields.boolean("parallel_tool_calls") ?? true,
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
  fields.integer("max_tool_calls", 0, TOKENS_MAX);
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
