/** Answers of `/v1/responses` as JSON schemas, whole and as events. Pure. @module */
import type { Properties, Schema } from "./schema.ts";
import {
  anyObject,
  count,
  flag,
  list,
  nothing,
  number,
  object,
  oneOf,
  orNull,
  ref,
  STEPS,
  text,
  TOKEN_LOGPROBS,
} from "./schema_words.ts";

const ITEM_STATUS = oneOf("in_progress", "completed", "incomplete", "failed");
const OUTPUT_TEXT = object({
  type: oneOf("output_text"),
  text,
  annotations: list(anyObject),
  logprobs: TOKEN_LOGPROBS,
});
const OUTPUT_ITEM: Schema = {
  anyOf: [
    object({
      id: text,
      type: oneOf("message"),
      status: ITEM_STATUS,
      role: oneOf("assistant"),
      content: list(OUTPUT_TEXT),
    }),
    object({
      id: text,
      type: oneOf("function_call"),
      status: ITEM_STATUS,
      call_id: text,
      name: text,
      arguments: text,
    }),
  ],
};

export const RESPONSE = object({
  id: text,
  object: oneOf("response"),
  created_at: count,
  status: ITEM_STATUS,
  background: flag,
  error: orNull(object({ code: text, message: text })),
  incomplete_details: orNull(object({ reason: oneOf("max_output_tokens") })),
  instructions: orNull(text),
  max_output_tokens: orNull(count),
  max_tool_calls: nothing,
  metadata: { type: "object", additionalProperties: text },
  model: text,
  output: list(OUTPUT_ITEM),
  parallel_tool_calls: flag,
  previous_response_id: nothing,
  reasoning: object({ effort: nothing, summary: nothing }),
  service_tier: text,
  store: flag,
  temperature: number,
  text: anyObject,
  tool_choice: { anyOf: [text, anyObject] },
  tools: list(anyObject),
  top_logprobs: count,
  top_p: number,
  truncation: oneOf("disabled"),
  usage: orNull(object({
    input_tokens: count,
    input_tokens_details: object({ cached_tokens: count }),
    output_tokens: count,
    output_tokens_details: object({ reasoning_tokens: count }),
    total_tokens: count,
    redraft: STEPS,
  })),
  user: orNull(text),
});

const event = (types: string[], fields: Properties, optional?: Properties): Schema =>
  object({ type: oneOf(...types), sequence_number: count, ...fields }, optional);
const PLACE: Properties = { item_id: text, output_index: count };
const PART: Properties = { ...PLACE, content_index: count };
const STATES = ["created", "in_progress", "completed", "incomplete", "failed"];
export const RESPONSE_EVENT: Schema = {
  anyOf: [
    event(STATES.map((state) => `response.${state}`), { response: ref("Response") }),
    event(["response.output_item.added", "response.output_item.done"], {
      output_index: count,
      item: OUTPUT_ITEM,
    }),
    event(["response.content_part.added", "response.content_part.done"], {
      ...PART,
      part: OUTPUT_TEXT,
    }),
    event(
      ["response.output_text.delta"],
      { ...PART, delta: text, logprobs: TOKEN_LOGPROBS },
      { redraft: ref("DraftTrace"), obfuscation: text },
    ),
    event(["response.output_text.done"], { ...PART, text, logprobs: TOKEN_LOGPROBS }),
    event(["response.function_call_arguments.delta"], { ...PLACE, delta: text }),
    event(["response.function_call_arguments.done"], { ...PLACE, name: text, arguments: text }),
  ],
};
