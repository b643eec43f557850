/** Spans of OpenTelemetry. Deno itself exports them over OTLP where `OTEL_DENO` is set; where it is
 * not, nothing is recorded and a client's trace goes on to the node as it came. @module */
import {
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from "@opentelemetry/api";
import { formatTraceparent, parseTraceparent } from "../proto/traceparent.ts";
import type { ApiError } from "./errors.ts";

const TRACER = trace.getTracer("redraft.gateway");

/** Of one request, from its arrival to its last byte; it goes on with the client's trace. Deno
 * opens a span of its own for an HTTP request, beside this one, and makes it active for nobody. */
export function startRequestSpan(route: string, traceparent: string | null): Span {
  return TRACER.startSpan(route, { kind: SpanKind.SERVER }, contextOf(traceparent ?? ""));
}

/** Of one generation's stay on one node: the node's own spans are below it. */
export function startNodeSpan(traceparent: string, url: string, attempt: number): Span {
  return TRACER.startSpan("submit", {
    kind: SpanKind.CLIENT,
    attributes: { "url.full": url, "redraft.attempt": attempt },
  }, contextOf(traceparent));
}

export function endNodeSpan(span: Span, error?: ApiError): void {
  if (error !== undefined) {
    span.setAttribute("error.type", error.code);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span.end();
}

/** A wait for a node, which has ended now. */
export function recordWait(traceparent: string, waitedMs: number): void {
  const now = performance.timeOrigin + performance.now();
  const parent = contextOf(traceparent);
  TRACER.startSpan("queue", { kind: SpanKind.INTERNAL, startTime: now - waitedMs }, parent)
    .end(now);
}

/** What the next one is told, so that its spans go below `span`. */
export function traceparentOf(span: Span): string {
  return formatTraceparent(span.spanContext());
}

function contextOf(traceparent: string): Context {
  const parent = parseTraceparent(traceparent);
  if (parent === undefined) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
}
