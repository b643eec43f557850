/** A body of `/v1/responses`, stateless: what would need something kept here is refused. Pure.
 * @module */
import { LOGPROBS_INCLUDE, RESPONSES_REQUEST } from "./api_schema.ts";
import { checkBody } from "./check_schema.ts";
import { Fields } from "./fields.ts";
import { type GenerateRequest, withTools } from "./request.ts";
import { readTextFormat } from "./request_format.ts";
import { readInput } from "./request_input.ts";
import { readSampling, readSpeculation } from "./request_sampling.ts";
import { readTools } from "./request_tools.ts";

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

/** @throws {ApiError} 400, naming the field. */
export function readResponsesRequest(body: unknown): GenerateRequest {
  checkBody(RESPONSES_REQUEST, body);
  const fields = Fields.of(body);
  const topLogprobs = fields.integer("top_logprobs") ?? 0;
  const wantLogprobs = fields.array("include")?.includes(LOGPROBS_INCLUDE) ?? false;
  const instructions = fields.string("instructions");
  const messages = readInput(fields);
  if (instructions !== undefined) messages.unshift({ role: "system", content: instructions });
  const sampling = readSampling(fields, wantLogprobs ? 1 + topLogprobs : 0);
  const tools = readTools(fields, "responses");
  const free = { schema: readTextFormat(fields), stop: [] };
  return {
    ...withTools(tools, free, messages, "responses"),
    route: "response",
    model: fields.requiredString("model"),
    choiceCount: 1,
    tokensMax: fields.integer("max_output_tokens"),
    ignoreEos: fields.boolean("ignore_eos") ?? false,
    echo: false,
    sampling,
    speculation: readSpeculation(fields),
    stream: fields.boolean("stream") ?? false,
    includeUsage: true,
    includeObfuscation: fields.object("stream_options")?.boolean("include_obfuscation") ?? false,
    responses: {
      instructions: instructions ?? null,
      metadata: (fields.get("metadata") ?? {}) as Record<string, string>,
      user: fields.string("user") ?? null,
      topLogprobs,
      text: fields.get("text") ?? { format: { type: "text" } },
      tools: fields.array("tools") ?? [],
      toolChoice: fields.get("tool_choice") ?? "auto",
      isParallel: fields.boolean("parallel_tool_calls") ?? true,
    },
  };
}
