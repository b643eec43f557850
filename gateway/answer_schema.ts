/** Answers of the HTTP surface as JSON schemas: the other half of the OpenAPI document. A test
 * holds real answers against them. Pure. @module */
import type { Properties, Schema } from "./schema.ts";
import { RESPONSE, RESPONSE_EVENT } from "./responses_schema.ts";
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

const ERROR = object(
  { message: text, type: text, param: orNull(text), code: orNull(text) },
  { n_prompt_tokens: count, n_ctx: count },
);

const USAGE = object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: object({ cached_tokens: count, audio_tokens: count }),
  completion_tokens_details: object({
    accepted_prediction_tokens: count,
    rejected_prediction_tokens: count,
    reasoning_tokens: count,
    audio_tokens: count,
  }),
  redraft: STEPS,
});

const CHAT_LOGPROBS = orNull(object({ content: TOKEN_LOGPROBS, refusal: nothing }));
const COMPLETION_LOGPROBS = orNull(object({
  tokens: list(text),
  token_logprobs: list(number),
  top_logprobs: orNull(list({ type: "object", additionalProperties: number })),
  text_offset: list(count),
}));

/** With `speculation.trace`. */
const TRACE = object({
  steps: list(object({
    token_count: count,
    drafted_count: count,
    accepted_count: count,
    tree: list(object({
      token: count,
      text,
      parent: { type: "integer", minimum: -1 },
      logprob: number,
      accepted: flag,
    })),
  })),
  tokens: list(object({ token: count, end: count })),
});

const HEAD: Properties = { id: text, created: count, model: text, system_fingerprint: text };
const CALL: Properties = {
  id: text,
  type: oneOf("function"),
  function: object({ name: text, arguments: text }),
};
const MESSAGE = object(
  {
    role: oneOf("assistant"),
    content: orNull(text),
    refusal: nothing,
    annotations: list(anyObject),
  },
  { tool_calls: list(object(CALL)) },
);
const CALL_DELTA = object(
  { index: count, function: object({ arguments: text }, { name: text }) },
  { id: text, type: oneOf("function") },
);
const DELTA = object({}, {
  role: oneOf("assistant"),
  content: orNull(text),
  tool_calls: list(CALL_DELTA),
});
const CHAT_REASON = oneOf("stop", "length", "tool_calls");
const COMPLETION_REASON = oneOf("stop", "length");
/** With `stream_options`. */
const CHUNK_OPTIONS: Properties = { usage: orNull(ref("Usage")), obfuscation: text };

const chatChoice = (part: Properties, finish_reason: Schema): Schema =>
  object(
    { index: count, ...part, logprobs: CHAT_LOGPROBS, finish_reason },
    { redraft: ref("DraftTrace") },
  );
const completionChoice = (finish_reason: Schema): Schema =>
  object(
    { index: count, text, logprobs: COMPLETION_LOGPROBS, finish_reason },
    { redraft: ref("DraftTrace") },
  );

const FLEET_NODE = object({
  index: count,
  state: oneOf("connecting", "handshake", "ready", "draining", "closed"),
  backend: orNull(text),
  model: orNull(text),
  slots_max: count,
  slots_busy: count,
  active: count,
  queue: count,
  pages_max: count,
  pages_used: count,
  tokens_per_step: number,
  tokens_per_second: number,
  prompt_tokens: count,
  prompt_tokens_cached: count,
  steps: count,
  drafted: count,
  accepted_by_depth: list(count),
});

const CAPABILITIES = object({
  object: oneOf("capabilities"),
  features: object({
    streaming: flag,
    websocket: flag,
    responses: oneOf("stateless"),
    logprobs: flag,
    seed: oneOf("bit-exact"),
    speculation: flag,
    answer_cache: flag,
    prefix_cache: flag,
    failover: oneOf("token-exact"),
    tools: list(text),
    tool_choice: list(text),
    response_formats: list(text),
    schema_keywords: list(text),
    schema_string_formats: list(text),
    modalities: list(text),
  }),
  bounds: { type: "object", additionalProperties: count },
  models: list(object({ id: text, max_model_len: count, draft_head: flag })),
});

/** By the names that the document gives them. */
export const ANSWERS: Properties = {
  Error: object({ error: ERROR }),
  Usage: USAGE,
  DraftTrace: TRACE,
  ChatCompletion: object({
    ...HEAD,
    object: oneOf("chat.completion"),
    choices: list(chatChoice({ message: MESSAGE }, CHAT_REASON)),
    usage: ref("Usage"),
  }),
  ChatCompletionChunk: object({
    ...HEAD,
    object: oneOf("chat.completion.chunk"),
    choices: list(chatChoice({ delta: DELTA }, orNull(CHAT_REASON))),
  }, CHUNK_OPTIONS),
  Completion: object({
    ...HEAD,
    object: oneOf("text_completion"),
    choices: list(completionChoice(COMPLETION_REASON)),
    usage: ref("Usage"),
  }),
  CompletionChunk: object({
    ...HEAD,
    object: oneOf("text_completion"),
    choices: list(completionChoice(orNull(COMPLETION_REASON))),
  }, CHUNK_OPTIONS),
  Response: RESPONSE,
  ResponseEvent: RESPONSE_EVENT,
  Tokens: object({
    count,
    max_model_len: count,
    tokens: list(count),
    token_strs: orNull(list(text)),
  }),
  Text: object({ prompt: text }),
  Model: object({
    id: text,
    object: oneOf("model"),
    created: count,
    owned_by: text,
    max_model_len: count,
    redraft: object({
      digest: text,
      architecture: text,
      vocab_size: count,
      draft_head: orNull(text),
      page_tokens: count,
    }),
  }),
  ModelList: object({ object: oneOf("list"), data: list(ref("Model")) }),
  Capabilities: CAPABILITIES,
  Fleet: object({
    object: oneOf("fleet"),
    gateway: text,
    requests_active: count,
    queue: object({ waiting: count, stranded: count }),
    cache: object({ entries: count, bytes: count }),
    nodes: list(FLEET_NODE),
  }),
  Document: object({
    openapi: text,
    info: anyObject,
    security: list(anyObject),
    paths: anyObject,
    components: anyObject,
  }),
  Health: object({ status: oneOf("ok") }),
  Readiness: object(
    { status: oneOf("ready", "no_node", "draining"), nodes: count, nodes_ready: count },
    { store: oneOf("ready", "away") },
  ),
};
