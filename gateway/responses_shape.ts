/** Answers of `/v1/responses`, whole and as events. @module */
import type { AnswerHead, AnswerShape, ChunkWriter } from "./answer_shape.ts";
import { usageOf } from "./answer_shape.ts";
import type { ApiError } from "./errors.ts";
import { numberedEvents, ResponseItems } from "./responses_items.ts";
import type { Run } from "./run.ts";

export const RESPONSES_SHAPE: AnswerShape = { chunks: responseEvents, whole: wholeResponse };

type Status = "in_progress" | "completed" | "incomplete" | "failed";

function wholeResponse(run: Run, head: AnswerHead): string {
  const status = statusOf(run);
  const items = new ResponseItems(run, () => "");
  for (const piece of run.choices[0]!.reader.generation.pieces) items.push(piece);
  items.finish();
  const output = items.output(status);
  return JSON.stringify(responseObject(run, head, status, { output, usage: usageJson(run) }));
}

function responseEvents(run: Run, head: AnswerHead): ChunkWriter {
  const send = numberedEvents();
  const items = new ResponseItems(run, send);
  const state = (type: string, status: Status, more: Record<string, unknown> = {}): string =>
    send(type, { response: responseObject(run, head, status, more) });
  return {
    begin: () =>
      state("response.created", "in_progress") + state("response.in_progress", "in_progress") +
      items.begin(),
    piece: (_, piece) => items.push(piece),
    finish: () => items.finish(),
    end: () => {
      const status = statusOf(run);
      const more = { output: items.output(status), usage: usageJson(run) };
      return state(`response.${status}`, status, more);
    },
    fail: (error: ApiError) =>
      state("response.failed", "failed", { error: { code: error.code, message: error.message } }),
  };
}

function statusOf(run: Run): Status {
  const outcome = run.choices[0]!.reader.generation.outcome;
  return outcome?.kind === "finish" && outcome.reason === "length" ? "incomplete" : "completed";
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
    parallel_tool_calls: echo.isParallel,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: "default",
    store: false,
    temperature: request.sampling.temperature,
    text: echo.text,
    tool_choice: echo.toolChoice,
    tools: echo.tools,
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
