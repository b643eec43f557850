/** A collector of OpenTelemetry that keeps the spans it is sent (OTLP over HTTP, as JSON).
 * @module */
import assert from "node:assert/strict";

type AnyValue = Record<string, unknown> & { arrayValue?: { values: AnyValue[] } };

export interface ReceivedSpan {
  service: string;
  scope: string;
  name: string;
  kind: number;
  traceId: string;
  spanId: string;
  /** Empty for the root. */
  parentSpanId: string;
  startMs: number;
  endMs: number;
  /** 2 is an error. */
  statusCode: number;
  attributes: Record<string, unknown>;
}

export class OtlpReceiver implements AsyncDisposable {
  readonly spans: ReceivedSpan[] = [];
  readonly #server = Deno.serve(
    { port: 0, hostname: "127.0.0.1", onListen: () => {} },
    (request) => this.#take(request),
  );

  /** What a process's environment needs to send its spans here, soon after they end. */
  get env(): Record<string, string> {
    return {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "50",
    };
  }

  /** Those of one trace by one service and name. */
  find(traceId: string, service: string, name: string): ReceivedSpan[] {
    return this.spans.filter((span) =>
      span.traceId === traceId && span.service === service && span.name === name
    );
  }

  async #take(request: Request): Promise<Response> {
    const body = await request.json();
    if (new URL(request.url).pathname === "/v1/traces") this.#keep(body);
    return Response.json({});
  }

  // deno-lint-ignore no-explicit-any -- the protocol's own shape, checked as it is read.
  #keep(body: any): void {
    for (const { resource, scopeSpans } of body.resourceSpans) {
      const service = String(readAttributes(resource.attributes)["service.name"]);
      for (const { scope, spans } of scopeSpans) {
        for (const span of spans) {
          assert.match(span.traceId, /^[0-9a-f]{32}$/);
          assert.match(span.spanId, /^[0-9a-f]{16}$/);
          this.spans.push({
            service,
            scope: scope.name,
            name: span.name,
            kind: span.kind,
            traceId: span.traceId,
            spanId: span.spanId,
            parentSpanId: span.parentSpanId,
            startMs: Number(span.startTimeUnixNano) / 1e6,
            endMs: Number(span.endTimeUnixNano) / 1e6,
            statusCode: span.status?.code ?? 0,
            attributes: readAttributes(span.attributes),
          });
        }
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

function readAttributes(list: { key: string; value: AnyValue }[]): Record<string, unknown> {
  return Object.fromEntries(list.map(({ key, value }) => [key, readValue(value)]));
}

function readValue(value: AnyValue): unknown {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(readValue);
  return Object.values(value)[0];
}
