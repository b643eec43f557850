/** Answers of `/v1/responses`, whole and as events. @module */
import type { AnswerHead, AnswerShape, ChunkWriter } from "./answer_shape.ts";
import { eventText, newId, obfuscationJson, traceJson, usageOf } from "./answer_shape.ts";
import { logprobsOf, textOf } from "./chat_shape.ts";
import type { ApiError } from "./errors.ts";
import type { Run } from "./run.ts";

export const RESPONSES_SHAPE: AnswerShape = { chunks: responseEvents, whole: wholeResponse };

type Status = "in_progress" | "completed" | "incomplete" | "failed";

function wholeResponse(run: Run, head: AnswerHead): string {
  const status = statusOf(run);
  const output = [messageItem(newId("msg_"), run, status)];
  return JSON.stringify(responseObject(run, head, status, { output, usage: usageJson(run) }));
}

/** Each event is numbered, so that a client sees when one is missing. */
function responseEvents(run: Run, head: AnswerHead): ChunkWriter {
  const itemId = newId("msg_");
  const place = { item_id: itemId, output_index: 0, content_index: 0 };
  let sequence = 0;
  const send = (type: string, fields: Record<string, unknown>): string =>
    eventText(JSON.stringify({ type, sequence_number: sequence++, ...fields }), type);
  const state = (type: string, status: Status, more: Record<string, unknown> = {}): string =>
    send(type, { response: responseObject(run, head, status, more) });
  return {
    begin: () => {
      const item = { id: itemId, type: "message", status: "in_progress", role: "assistant" };
      return state("response.created", "in_progress") +
        state("response.in_progress", "in_progress") +
        send("response.output_item.added", { output_index: 0, item: { ...item, content: [] } }) +
        send("response.content_part.added", { ...place, part: outputText("", []) });
    },
    // Built from parts, as it comes once a step.
    piece: (_, piece) => {
      const type = "response.output_text.delta";
      const logprobs = JSON.stringify(logprobsOf(run.model, piece.entries));
      return eventText(
        `{"type":"${type}","sequence_number":${sequence++},"item_id":"${itemId}",` +
          `"output_index":0,"content_index":0,"delta":${JSON.stringify(piece.text)},` +
          `"logprobs":${logprobs}${traceJson(run.model, [piece])}` +
          `${obfuscationJson(run, piece.text.length)}}`,
        type,
      );
    },
    finish: () => {
      const item = messageItem(itemId, run, statusOf(run));
      const [part] = item.content;
      const { text, logprobs } = part!;
      return send("response.output_text.done", { ...place, text, logprobs }) +
        send("response.content_part.done", { ...place, part }) +
        send("response.output_item.done", { output_index: 0, item });
    },
    end: () => {
      const status = statusOf(run);
      const output = [messageItem(itemId, run, status)];
      return state(`response.${status}`, status, { output, usage: usageJson(run) });
    },
    fail: (error: ApiError) =>
      state("response.failed", "failed", { error: { code: error.code, message: error.message } }),
  };
}

function statusOf(run: Run): Status {
  const outcome = run.choices[0]!.reader.generation.outcome;
  return outcome?.kind === "finish" && outcome.reason === "length" ? "incomplete" : "completed";
}

interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: unknown[];
}

function outputText(text: string, logprobs: unknown[]): OutputText {
  return { type: "output_text", text, annotations: [], logprobs };
}

function messageItem(id: string, run: Run, status: Status) {
  const { pieces } = run.choices[0]!.reader.generation;
  const logprobs = logprobsOf(run.model, pieces.flatMap((piece) => piece.entries));
  const content = [outputText(textOf(pieces), logprobs)];
  return { id, type: "message", status, role: "assistant", content };
}

function responseObject(
  run: Run,
  head: AnswerHead,
  status: Status,
  more: Record<string, unknown>,
): Record<string, unknown> {
  const { request } = run;
  const echo = request.responses!;
  return {
    id: head.id,
    object: "response",
    created_at: head.created,
    status,
    background: false,
    error: null,
    incomplete_details: status === "incomplete" ? { reason: "max_output_tokens" } : null,
    instructions: echo.instructions,
    max_output_tokens: request.tokensMax ?? null,
    max_tool_calls: null,
    metadata: echo.metadata,
    model: run.model.card.id,
    output: [],
    parallel_tool_calls: false,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: false,
    temperature: request.sampling.temperature,
    text: { format: { type: "text" } },
    tool_choice: "none",
    tools: [],
    top_logprobs: echo.topLogprobs,
    top_p: request.sampling.topP,
    truncation: "disabled",
    usage: null,
    user: echo.user,
    ...more,
  };
}

function usageJson(run: Run): Record<string, unknown> {
  // deno-lint-ignore no-explicit-any -- the shape is that of `usageOf()`.
  const usage = usageOf(run) as any;
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details.cached_tokens },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.total_tokens,
    redraft: usage.redraft,
  };
}
