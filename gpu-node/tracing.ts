/** Spans of OpenTelemetry, below the gateway's. Deno itself exports them over OTLP where
 * `OTEL_DENO` is set; where it is not, nothing is recorded. @module */
import { type Context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import type { SubmitFrame } from "../proto/frame.ts";
import { parseTraceparent } from "../proto/traceparent.ts";
import type { EngineEvent, SequenceFinish } from "./engine.ts";

const TRACER = trace.getTracer("redraft.node");

/** A sequence's spans, made when it has ended, of the times that it kept.
 * @param startedAt On the clock of `now`, which is `performance.now()`'s. */
export function recordSpans(
  frame: SubmitFrame,
  model: string,
  startedAt: number,
  event: EngineEvent,
  now: number,
): void {
  if (event.kind === "step") return;
  const parent = contextOf(frame.traceparent);
  const span = TRACER.startSpan(`generate ${model}`, {
    kind: SpanKind.SERVER,
    startTime: performance.timeOrigin + startedAt,
  }, parent);
  if (span.isRecording()) {
    span.setAttributes({
      "gen_ai.operation.name": "text_completion",
      "gen_ai.provider.name": "redraft",
      "gen_ai.request.model": model,
      "gen_ai.request.max_tokens": frame.tokensMax,
      "gen_ai.request.temperature": frame.sampling.temperature,
      "gen_ai.usage.input_tokens": frame.tokens.length,
    });
    if (event.kind === "finish") {
      span.setAttributes(finishAttributes(event.finish));
      recordPhases(trace.setSpan(parent, span), startedAt, event.finish);
    } else {
      span.setAttribute("error.type", event.code);
      span.setStatus({ code: SpanStatusCode.ERROR, message: event.message });
    }
  }
  span.end(performance.timeOrigin + now);
}

function finishAttributes(finish: SequenceFinish) {
  return {
    "gen_ai.response.finish_reasons": [finish.reason],
    "gen_ai.usage.output_tokens": finish.generatedCount,
    "gen_ai.usage.cache_read.input_tokens": finish.cachedCount,
    "redraft.tokens.drafted": finish.draftedCount,
    "redraft.tokens.accepted": finish.acceptedCount,
    "redraft.steps": finish.stepCount,
  };
}

/** One after another, as a sequence goes through them. */
function recordPhases(parent: Context, startedAt: number, finish: SequenceFinish): void {
  let at = performance.timeOrigin + startedAt;
  const { queueMs, contextMs, generationMs } = finish;
  for (
    const [name, ms] of [
      ["queue", queueMs],
      ["context", contextMs],
      ["generation", generationMs],
    ] as const
  ) {
    const span = TRACER.startSpan(name, { kind: SpanKind.INTERNAL, startTime: at }, parent);
    span.end(at += ms);
  }
}

function contextOf(traceparent: string): Context {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
}
