/** What a request's span and metrics say of it: names and attributes of OpenTelemetry's conventions
 * for generative AI, and never text. @module */
import { type Attributes, type Span, SpanStatusCode } from "@opentelemetry/api";
import type { Run } from "./run.ts";

export interface TokenCounts {
  input: number;
  output: number;
  cached: number;
  drafted: number;
  accepted: number;
}

export interface RequestEnd {
  status: number;
  errorCode: string | undefined;
  counts: TokenCounts | undefined;
  firstTokenMs: number | undefined;
}

const OPERATIONS = { chat: "chat", completion: "text_completion", response: "chat" } as const;

/** Of a request that was refused before its body told more; a WebSocket carries either. */
const ROUTE_OPERATIONS: Readonly<Record<string, string>> = { "/v1/completions": "text_completion" };
const PROVIDER = "redraft";

/** As attributes are in Prometheus' spelling. A refused request has no model: what it names may be
 * anything. */
export function metricLabels(route: string, run?: Run): Record<string, string> {
  const provider = { gen_ai_provider_name: PROVIDER };
  if (run === undefined) {
    return { gen_ai_operation_name: ROUTE_OPERATIONS[route] ?? "chat", ...provider };
  }
  return {
    gen_ai_operation_name: OPERATIONS[run.request.route],
    ...provider,
    gen_ai_request_model: run.model.card.id,
  };
}

export function endRequestSpan(
  span: Span,
  run: Run | undefined,
  { counts, firstTokenMs, status, errorCode }: RequestEnd,
): void {
  if (!span.isRecording()) return;
  if (run !== undefined) {
    span.updateName(`${OPERATIONS[run.request.route]} ${run.model.card.id}`);
    span.setAttributes(requestAttributes(run));
    span.setAttribute("gen_ai.response.finish_reasons", finishReasons(run));
  }
  if (counts !== undefined) {
    span.setAttribute("gen_ai.usage.input_tokens", counts.input);
    span.setAttribute("gen_ai.usage.output_tokens", counts.output);
    span.setAttribute("gen_ai.usage.cache_read.input_tokens", counts.cached);
    span.setAttribute("redraft.tokens.drafted", counts.drafted);
    span.setAttribute("redraft.tokens.accepted", counts.accepted);
  }
  if (firstTokenMs !== undefined) {
    span.setAttribute("gen_ai.response.time_to_first_chunk", firstTokenMs / 1000);
  }
  if (errorCode !== undefined) span.setAttribute("error.type", errorCode);
  if (status >= 400) span.setStatus({ code: SpanStatusCode.ERROR });
  span.end();
}

function requestAttributes({ request, model, cache, retryCount }: Run): Attributes {
  const { sampling } = request;
  return {
    "gen_ai.operation.name": OPERATIONS[request.route],
    "gen_ai.provider.name": PROVIDER,
    "gen_ai.request.model": request.model,
    "gen_ai.request.stream": request.stream,
    "gen_ai.request.temperature": sampling.temperature,
    "gen_ai.request.top_p": sampling.topP,
    "gen_ai.request.top_k": sampling.topK,
    "gen_ai.request.choice.count": request.choiceCount,
    ...(request.tokensMax === undefined ? {} : { "gen_ai.request.max_tokens": request.tokensMax }),
    "gen_ai.response.model": model.card.id,
    "redraft.cache": cache.state,
    "redraft.retries": retryCount,
  };
}

function finishReasons({ choices }: Run): string[] {
  return choices.flatMap(({ reader }) => {
    const outcome = reader.generation.outcome;
    return outcome?.kind === "finish" ? [outcome.reason] : [];
  });
}
