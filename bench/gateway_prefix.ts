/** What a held prefix saves on real nodes: on one, and over three by the way that requests go.
 * @module */
import { Fleet } from "../tests/support/fleet.ts";
import { startGateway } from "../gateway/gateway.ts";
import { SILENT_LOG } from "../gateway/log.ts";
import { readOptions } from "../gateway/options.ts";
import { eventually } from "../tests/support/served.ts";
import { median, quantile, round4, seededRandom } from "./stats.ts";

/** About 1,000 tokens. */
const PREFIX_WORDS = 900;
const NODES = 3;
/** Prefixes in use at once: more than one node has pages for, fewer than all have. */
const GROUPS = 24;
const TRACE_PREFIX_WORDS = 380;
const ASKED_OF_EACH = 5;
const CLIENTS = 3;
const READY_MS_MAX = 10_000;

const WORDS = ["sea", "tide", "ship", "sail"];

function prefixOf(topic: string, words: number): string {
  const parts = [`Ledger ${topic}:`];
  for (let i = 0; i < words; ++i) parts.push(WORDS[i % 4]!);
  return parts.join(" ");
}

/** From the request to the first token of its answer, whose headers wait for it. */
async function firstTokenMs(url: string, model: string, content: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({
      model,
      messages: [{ role: "user", content }],
      max_tokens: 8,
      temperature: 0,
      ignore_eos: true,
      stream: true,
    }),
  });
  const ms = performance.now() - startedAt;
  const text = await response.text();
  if (!response.ok) throw new Error(`Cannot measure: ${response.status} ${text}`);
  return ms;
}

/** Each round asks of a new ledger twice: cold, then with its prefix held. */
async function heldOverCold(fleet: Fleet, rounds: number): Promise<number> {
  const ratios: number[] = [];
  for (let round = 0; round < rounds; ++round) {
    const prefix = prefixOf(`held ${round}`, PREFIX_WORDS);
    const coldMs = await firstTokenMs(fleet.url, fleet.model, `${prefix} First question?`);
    const heldMs = await firstTokenMs(fleet.url, fleet.model, `${prefix} Second question?`);
    ratios.push(heldMs / coldMs);
  }
  return median(ratios);
}

/** The same questions in the same order for every policy, but of ledgers of its own. */
function questions(policy: string, seed: number): string[] {
  const random = seededRandom(seed);
  const order: { text: string; rank: number }[] = [];
  for (let group = 0; group < GROUPS; ++group) {
    const prefix = prefixOf(`${policy} ${seed} ${group}`, TRACE_PREFIX_WORDS);
    for (let i = 0; i < ASKED_OF_EACH; ++i) {
      order.push({ text: `${prefix} Question ${i}?`, rank: random() });
    }
  }
  return order.sort((a, b) => a.rank - b.rank).map(({ text }) => text);
}

/** A closed loop of a few clients. @param urlOf Where the n-th request goes. */
async function runTrace(
  asked: readonly string[],
  model: string,
  urlOf: (n: number) => string,
): Promise<number[]> {
  const latencies: number[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    for (let n = next++; n < asked.length; n = next++) {
      latencies.push(await firstTokenMs(urlOf(n), model, asked[n]!));
    }
  }));
  return latencies;
}

/** A gateway that has one node alone, so that the client decides. */
async function startSingle(nodePort: number) {
  const args = ["--port", "0", "--node", `ws://127.0.0.1:${nodePort}`, "--drain-settle-s", "0"];
  const gateway = await startGateway(readOptions(args, () => undefined), SILENT_LOG);
  const { pool } = gateway.services;
  const isReady = () => Promise.resolve(pool.readyCount === 1);
  await eventually(isReady, READY_MS_MAX, () => "the node of a gateway alone is not ready");
  return gateway;
}

/** Both policies on the same nodes in turn. */
async function compareRouting(fleet: Fleet, rounds: number) {
  const singles = await Promise.all(fleet.nodes.map(({ port }) => startSingle(port)));
  const ours: number[] = [], roundRobin: number[] = [];
  try {
    for (let round = 1; round <= rounds; ++round) {
      const routed = await runTrace(questions("ours", round), fleet.model, () => fleet.url);
      ours.push(...routed);
      const inTurn = (n: number) => `http://127.0.0.1:${singles[n % NODES]!.port}`;
      const rotated = await runTrace(questions("round robin", round), fleet.model, inTurn);
      roundRobin.push(...rotated);
    }
  } finally {
    await Promise.all(singles.map((gateway) => gateway.close()));
  }
  const told = (latencies: number[]) => ({
    first_token_p50_ms: round4(median(latencies)),
    first_token_p95_ms: round4(quantile(latencies, 0.95)),
  });
  return {
    nodes: NODES,
    requests: ours.length,
    ours: told(ours),
    round_robin: told(roundRobin),
    ratio: round4(median(ours) / median(roundRobin)),
  };
}

export async function measurePrefix(rounds: number) {
  await using fleet = await Fleet.start(NODES);
  await firstTokenMs(fleet.url, fleet.model, "Warm up.");
  const ratio = round4(await heldOverCold(fleet, Math.max(rounds, 5)));
  return { prefix_first_token_ratio: ratio, prefix_trace: await compareRouting(fleet, rounds) };
}
