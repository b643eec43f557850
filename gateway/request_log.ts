/** One request's times and its end: the metrics, the span and the log line that come of it.
 * @module */
import type { Span } from "@opentelemetry/api";
import { endRequestSpan, metricLabels, type TokenCounts } from "./request_span.ts";
import type { Run } from "./run.ts";
import type { Services } from "./services.ts";
import { startRequestSpan, traceparentOf } from "./tracing.ts";

const TEXT_CHARS_MAX = 4096;

export class RequestRecord {
  readonly startedAt: number;
  firstTokenAt: number | undefined;
  submittedAt: number | undefined;
  readonly span: Span;
  /** For the node's spans. */
  readonly traceparent: string;
  #ended = false;
  /** Of OpenTelemetry's metrics. */
  #labels: Record<string, string>;

  constructor(
    readonly services: Services,
    readonly route: string,
    readonly requestId: string,
    traceparent: string | null,
    readonly tenant: string,
  ) {
    this.startedAt = services.now();
    this.span = startRequestSpan(route, traceparent);
    this.traceparent = traceparentOf(this.span);
    this.#labels = metricLabels(route);
    ++services.activeCount;
  }

  submitted(run: Run): void {
    this.#labels = metricLabels(this.route, run);
    this.submittedAt = this.services.now();
    this.services.metrics.overhead.observe((this.submittedAt - this.startedAt) / 1000);
  }

  /** A piece is about to be written. */
  token(): void {
    if (this.firstTokenAt !== undefined) return;
    this.firstTokenAt = this.services.now();
    const seconds = (this.firstTokenAt - this.startedAt) / 1000;
    this.services.metrics.firstToken.observe(seconds, this.#labels);
  }

  /** Idempotent: whatever ends the request first is how it ended. */
  end(status: number, run: Run | undefined, errorCode?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const { services, route } = this;
    --services.activeCount;
    const durationMs = services.now() - this.startedAt;
    const counts = run === undefined ? undefined : countTokens(run);
    services.metrics.requests.add(1, { route, status: String(status) });
    const labels = this.#labels;
    const failed: Record<string, string> = errorCode === undefined ? {} : { error_type: errorCode };
    services.metrics.duration.observe(durationMs / 1000, { ...labels, ...failed });
    if (counts !== undefined && run !== undefined) {
      const { metrics } = services;
      metrics.tokenUsage.observe(counts.input, { ...labels, gen_ai_token_type: "input" });
      metrics.tokenUsage.observe(counts.output, { ...labels, gen_ai_token_type: "output" });
      if (this.firstTokenAt !== undefined && run.choices.length === 1 && counts.output > 1) {
        const generationMs = services.now() - this.firstTokenAt;
        metrics.perToken.observe(generationMs / 1000 / (counts.output - 1), labels);
      }
      metrics.draftTokens.add(counts.accepted, { accepted: "true" });
      metrics.draftTokens.add(counts.drafted - counts.accepted, { accepted: "false" });
    }
    const firstTokenMs = this.firstTokenAt && this.firstTokenAt - this.startedAt;
    endRequestSpan(this.span, run, { status, errorCode, counts, firstTokenMs });
    services.log.write(status >= 500 ? "warn" : "info", "request", {
      request_id: this.requestId,
      trace_id: this.traceparent === "" ? undefined : this.traceparent.slice(3, 35),
      tenant: this.tenant || undefined,
      route,
      status,
      code: errorCode,
      model: run?.model.card.id,
      node: run?.nodeUrl,
      cache: run?.cache.state,
      duration_ms: round(durationMs),
      first_token_ms: firstTokenMs && round(firstTokenMs),
      input_tokens: counts?.input,
      output_tokens: counts?.output,
      ...(services.options.logText && run !== undefined ? textsOf(run) : {}),
    });
  }
}

/** What was asked and answered, as far as a line should hold it. */
function textsOf({ request, choices }: Run): { prompt: string; answer: string } {
  const prompts = request.prompts.map((prompt) =>
    prompt.kind === "messages"
      ? JSON.stringify(prompt.messages)
      : prompt.kind === "text"
      ? prompt.text
      : `${prompt.tokens.length} tokens`
  );
  const answers = choices.map(({ reader }) =>
    reader.generation.pieces.map(({ text }) => text).join("")
  );
  return {
    prompt: prompts.join("\n").slice(0, TEXT_CHARS_MAX),
    answer: answers.join("\n").slice(0, TEXT_CHARS_MAX),
  };
}

function countTokens(run: Run): TokenCounts {
  const counts = { input: 0, output: 0, cached: 0, drafted: 0, accepted: 0 };
  for (const tokens of run.promptTokens) counts.input += tokens.length;
  for (const { reader, cache } of run.choices) {
    counts.output += reader.generation.usage.generatedCount;
    counts.cached += reader.generation.usage.cachedCount;
    // Counted with the first asker.
    if (cache.state === "HIT" || cache.state === "COALESCED") continue;
    counts.drafted += reader.generation.usage.draftedCount;
    counts.accepted += reader.generation.usage.acceptedCount;
  }
  return counts;
}

export function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
