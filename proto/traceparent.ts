/** W3C Trace Context's `traceparent`: how a trace goes from a client over the gateway to a node.
 * Pure. @module */

/** Field for field an OpenTelemetry SpanContext. */
export interface TraceParent {
  traceId: string;
  spanId: string;
  traceFlags: number;
}

/** Of version 00. A later version may append fields, which the standard says to ignore. */
const FORM = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const CHARS_MAX = 128;
const ZEROS = /^0+$/;

/** `undefined` for anything that the standard calls invalid: a trace is then begun anew. */
export function parseTraceparent(text: string): TraceParent | undefined {
  if (text.length > CHARS_MAX) return undefined;
  const match = FORM.exec(text);
  if (match === null) return undefined;
  const [, version, traceId, spanId, flags, rest] = match;
  if (version === "00" && rest !== undefined) return undefined;
  if (ZEROS.test(traceId!) || ZEROS.test(spanId!)) return undefined;
  return { traceId: traceId!, spanId: spanId!, traceFlags: parseInt(flags!, 16) };
}

/** Empty without a trace. */
export function formatTraceparent({ traceId, spanId, traceFlags }: TraceParent): string {
  if (ZEROS.test(traceId)) return "";
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, "0")}`;
}
