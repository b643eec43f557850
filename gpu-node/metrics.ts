/** What `/metrics` says, in Prometheus' text format and by vLLM's names, so that its dashboards and
 * scrapers read a node unchanged; counters end in `_total`, as a scrape shows them. What vLLM has
 * no name for begins with `redraft_`. @module */

import type { SubmitFrame } from "../proto/frame.ts";
import type { Engine, EngineEvent } from "./engine.ts";
import { Histogram } from "./histogram.ts";
import { splitMicros } from "./step_plan.ts";

const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536];

/** How it ended, as vLLM's label `finished_reason` has it. */
type EndReason = "stop" | "length" | "abort" | "error";

/** Of the process, in bytes. */
export interface MemoryUse {
  rss: number;
  heapTotal: number;
  heapUsed: number;
  external: number;
}

export class NodeMetrics {
  readonly #ends: Record<EndReason, number> = { stop: 0, length: 0, abort: 0, error: 0 };
  readonly #firstToken = new Histogram(SECONDS);
  readonly #interToken = new Histogram(SECONDS);
  readonly #total = new Histogram(SECONDS);
  readonly #queue = new Histogram(SECONDS);
  readonly #context = new Histogram(SECONDS);
  readonly #generation = new Histogram(SECONDS);
  readonly #inference = new Histogram(SECONDS);
  readonly #perToken = new Histogram(SECONDS);
  readonly #promptTokens = new Histogram(TOKENS);
  readonly #generatedTokens = new Histogram(TOKENS);
  /** When a sequence last gained tokens, by the frame that started it. */
  readonly #gainedAt = new WeakMap<SubmitFrame, number>();

  observe(frame: SubmitFrame, startedAt: number, event: EngineEvent, now: number): void {
    if (event.kind === "step") {
      const count = event.step.tokens.length;
      if (count === 0) return;
      const before = this.#gainedAt.get(frame);
      this.#gainedAt.set(frame, now);
      if (before === undefined) this.#firstToken.observe((now - startedAt) / 1000);
      else this.#interToken.observe((now - before) / 1000 / count, count);
      return;
    }
    this.#total.observe((now - startedAt) / 1000);
    if (event.kind === "failure") {
      this.#ends.error++;
      return;
    }
    const { reason, queueMs, contextMs, generationMs, promptCount, generatedCount } = event.finish;
    this.#ends[reason === "cancelled" ? "abort" : reason]++;
    this.#queue.observe(queueMs / 1000);
    this.#context.observe(contextMs / 1000);
    this.#generation.observe(generationMs / 1000);
    this.#inference.observe((contextMs + generationMs) / 1000);
    if (generatedCount > 1) this.#perToken.observe(generationMs / 1000 / (generatedCount - 1));
    this.#promptTokens.observe(promptCount);
    this.#generatedTokens.observe(generatedCount);
  }

  /** @param socketCount Gateways that are connected. */
  text(engine: Engine, memory: MemoryUse, socketCount: number): string {
    const { model } = engine;
    const labels = `model_name="${escapeLabel(model.id)}"`;
    const lines: string[] = [];
    const metric = (kind: string, name: string, values: readonly [string, number][]) => {
      lines.push(`# TYPE ${name} ${kind}`);
      for (const [more, value] of values) {
        lines.push(`${name}{${more === "" ? labels : `${labels},${more}`}} ${value}`);
      }
    };
    const one = (kind: string, name: string, value: number) => metric(kind, name, [["", value]]);
    this.#sequences(engine, one, metric);
    this.#speculation(engine, one, metric);
    const kvBytes = model.pagesMax * model.pageTokens * model.kvBytesPerToken;
    one("gauge", "redraft_gateways_connected", socketCount);
    one("gauge", "redraft_kv_bytes_per_token", model.kvBytesPerToken);
    metric("gauge", "redraft_memory_bytes", [
      ['part="kv_pages"', kvBytes],
      ['part="weights"', model.weightBytes],
      ['part="js_heap"', memory.heapTotal],
      ['part="js_external"', memory.external],
    ]);
    lines.push("# TYPE process_resident_memory_bytes gauge");
    lines.push(`process_resident_memory_bytes ${memory.rss}`);
    for (const [name, histogram] of this.#histograms()) {
      lines.push(`# TYPE vllm:${name} histogram`, ...histogram.lines(`vllm:${name}`, labels));
    }
    return `${lines.join("\n")}\n`;
  }

  #sequences(engine: Engine, one: One, metric: Many): void {
    const status = engine.status();
    const counters = engine.counters();
    const { model } = engine;
    one("gauge", "vllm:num_requests_running", status.slotsBusy);
    one("gauge", "vllm:num_requests_waiting", status.queueCount);
    one("gauge", "vllm:kv_cache_usage_perc", 1 - status.pagesFree / status.pagesMax);
    one("counter", "vllm:prefix_cache_queries_total", counters.prefixQueries);
    one("counter", "vllm:prefix_cache_hits_total", counters.prefixHits);
    one("counter", "vllm:prompt_tokens_total", counters.promptTokens);
    one("counter", "vllm:generation_tokens_total", counters.generatedTokens);
    one("counter", "vllm:num_preemptions_total", counters.preemptions);
    metric(
      "counter",
      "vllm:request_success_total",
      Object.entries(this.#ends).map(([reason, n]) => [`finished_reason="${reason}"`, n]),
    );
    const config = `block_size="${model.pageTokens}",num_gpu_blocks="${model.pagesMax}"`;
    metric("gauge", "vllm:cache_config_info", [[config, 1]]);
    one("gauge", "redraft_slots_busy", status.slotsBusy);
    one("gauge", "redraft_slots_max", status.slotsMax);
    one("gauge", "redraft_pages_free", status.pagesFree);
    one("gauge", "redraft_pages_cached", status.pagesCached);
    one("gauge", "redraft_pages_max", status.pagesMax);
    one("gauge", "redraft_context_tokens_waiting", status.contextTokensWaiting);
  }

  #speculation(engine: Engine, one: One, metric: Many): void {
    const counters = engine.counters();
    one("counter", "vllm:spec_decode_num_drafts_total", counters.draftCount);
    one("counter", "vllm:spec_decode_num_draft_tokens_total", counters.draftedTokens);
    one("counter", "vllm:spec_decode_num_accepted_tokens_total", counters.acceptedTokens);
    metric(
      "counter",
      "vllm:spec_decode_num_accepted_tokens_per_pos_total",
      counters.acceptedByDepth.map((count, depth) => [`position="${depth}"`, count]),
    );
    one("counter", "redraft_steps_total", counters.stepCount);
    one("counter", "redraft_sequence_steps_total", counters.sequenceSteps);
    one("counter", "redraft_rows_total", counters.rowCount);
    one("counter", "redraft_step_seconds_total", counters.micros.step / 1e6);
    metric(
      "counter",
      "redraft_step_part_seconds_total",
      Object.entries(splitMicros(counters.micros))
        .map(([part, micros]) => [`part="${part}"`, micros / 1e6]),
    );
  }

  #histograms(): [string, Histogram][] {
    return [
      ["time_to_first_token_seconds", this.#firstToken],
      ["inter_token_latency_seconds", this.#interToken],
      ["e2e_request_latency_seconds", this.#total],
      ["request_queue_time_seconds", this.#queue],
      ["request_prefill_time_seconds", this.#context],
      ["request_decode_time_seconds", this.#generation],
      ["request_inference_time_seconds", this.#inference],
      ["request_time_per_output_token_seconds", this.#perToken],
      ["request_prompt_tokens", this.#promptTokens],
      ["request_generation_tokens", this.#generatedTokens],
    ];
  }
}

type One = (kind: string, name: string, value: number) => void;
type Many = (kind: string, name: string, values: readonly [string, number][]) => void;

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
