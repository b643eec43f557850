import assert from "node:assert/strict";
import { join } from "node:path";
import { eventually, type Samples, sampleSum, Served } from "../support/served.ts";
import { ROOT } from "../support/source_files.ts";

const DASHBOARD = join(ROOT, "deploy", "grafana", "redraft.json");
/** Words of PromQL that the dashboard uses; all other names are metrics or labels. */
const WORDS = new Set([
  ...["sum", "max", "by", "rate", "histogram_quantile", "or", "vector", "on", "group_left"],
  ...["le", "instance", "node", "status", "kind", "position"],
]);

interface Panel {
  type: string;
  title: string;
  targets?: { expr: string }[];
}

/** Metrics that an expression names: what is neither in braces, brackets nor a word of PromQL. */
function metricsOf(expression: string): string[] {
  const bare = expression.replace(
    /\{[^}]*\}|\[[^\]]*\]|\([a-z_, ]*\) \(/g,
    (part) => part.startsWith("(") ? "(" : "",
  );
  return (bare.match(/[a-zA-Z_][a-zA-Z0-9_:]*/g) ?? []).filter((name) => !WORDS.has(name));
}

/** vLLM's, as its exposition spells them: dashboards and scrapers for it find these here. */
const VLLM = [
  "num_requests_running",
  "num_requests_waiting",
  "kv_cache_usage_perc",
  "prefix_cache_queries_total",
  "prefix_cache_hits_total",
  "prompt_tokens_total",
  "generation_tokens_total",
  "num_preemptions_total",
  "request_success_total",
  "cache_config_info",
  "spec_decode_num_drafts_total",
  "spec_decode_num_draft_tokens_total",
  "spec_decode_num_accepted_tokens_total",
  "spec_decode_num_accepted_tokens_per_pos_total",
  "time_to_first_token_seconds_bucket",
  "inter_token_latency_seconds_bucket",
  "request_time_per_output_token_seconds_bucket",
  "e2e_request_latency_seconds_bucket",
  "request_queue_time_seconds_bucket",
  "request_prefill_time_seconds_bucket",
  "request_decode_time_seconds_bucket",
  "request_inference_time_seconds_bucket",
  "request_prompt_tokens_bucket",
  "request_generation_tokens_bucket",
];

/** OpenTelemetry's for generative AI, in Prometheus' spelling. */
const GEN_AI = [
  "gen_ai_server_request_duration_seconds_bucket",
  "gen_ai_server_time_to_first_token_seconds_bucket",
  "gen_ai_server_time_per_output_token_seconds_bucket",
  "gen_ai_client_token_usage_bucket",
];

function namesOf(samples: Samples): Set<string> {
  return new Set([...samples.keys()].map((key) => key.split("{")[0]!));
}

Deno.test("every metric that the dashboard queries is told by a gateway or a node", async (t) => {
  await using served = await Served.start();
  const body = { model: served.model, messages: [{ role: "user", content: "Name a river." }] };
  const answer = await served.post("/v1/chat/completions", {
    ...body,
    max_tokens: 16,
    temperature: 0,
  });
  const { usage } = await answer.json();
  // The node counts an end when it has sent it.
  const ended = async () =>
    sampleSum(await served.nodeMetrics(), "vllm:request_success_total") === 1;
  await eventually(ended, 5000, () => "the node has not counted its request");
  const [gateway, node] = [await served.gatewayMetrics(), await served.nodeMetrics()];
  const [gatewayNames, nodeNames] = [namesOf(gateway), namesOf(node)];

  await t.step("the dashboard's", async () => {
    const { panels } = JSON.parse(await Deno.readTextFile(DASHBOARD)) as { panels: Panel[] };
    const queried = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    assert.ok(queried.length > 40, `${queried.length} queries`);
    const names = new Set(queried.flatMap(metricsOf));
    assert.ok(names.size > 30, [...names].join(" "));
    const missing = [...names].filter((name) => !gatewayNames.has(name) && !nodeNames.has(name));
    assert.deepEqual(missing, []);
    const empty = panels.filter(({ type, targets = [] }) => type !== "row" && targets.length === 0);
    assert.deepEqual(empty.map(({ title }) => title), []);
  });

  await t.step("vLLM's on the node, OpenTelemetry's on the gateway", () => {
    assert.deepEqual(VLLM.filter((name) => !nodeNames.has(`vllm:${name}`)), []);
    assert.deepEqual(GEN_AI.filter((name) => !gatewayNames.has(name)), []);
  });

  await t.step("both count what the answer said", () => {
    assert.equal(sampleSum(node, "vllm:generation_tokens_total"), usage.completion_tokens);
    assert.equal(sampleSum(node, "vllm:prompt_tokens_total"), usage.prompt_tokens);
    const output = 'gen_ai_token_type="output"';
    const counted = sampleSum(gateway, "gen_ai_client_token_usage_sum", output);
    assert.equal(counted, usage.completion_tokens);
    assert.equal(sampleSum(gateway, "gen_ai_server_request_duration_seconds_count"), 1);
  });
});
