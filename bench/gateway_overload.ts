/** Four times more requests than a real node can serve, in an open loop: who is served, how soon,
 * and what the others are told. @module */
import { nodeArgs } from "../cli/children.ts";
import { prepareNode } from "../cli/node_options.ts";
import { Service } from "../cli/supervisor.ts";
import { LoadClient, runLoad } from "./gateway_load.ts";
import { GatewayStand } from "./gateway_stand.ts";
import { quantile, round4 } from "./stats.ts";

const OVERLOAD = 4;
const SLOTS = 8;
const ANSWER_TOKENS = 16;
const CAPACITY_SECONDS = 5;
const TICK_MS = 20;
const SAMPLE_MS = 500;
const STOP_MS = 5000;
/** What is asked of the gateway: whoever it admits has a first token by then. */
const TARGET_MS = 2000;
/** How long a request may wait; the rest of the target is for the node's own work. */
const QUEUE_S = 1;
const QUEUE_MAX = 64;

/** Streamed, so that the answer's headers come with its first token. */
function bodyOf(model: string, n: number): string {
  const messages = [{ role: "user", content: `Question ${n}: what is the tide?` }];
  const more = { max_tokens: ANSWER_TOKENS, ignore_eos: true, stream: true };
  return JSON.stringify({ model, messages, ...more });
}

interface Tally {
  /** First tokens of the admitted, in milliseconds. */
  firstTokens: number[];
  /** By status. */
  refused: Record<string, number>;
  withoutRetryAfter: number;
  broken: number;
}

/** One request on a connection of its own, as a stranger's would be. */
async function askOnce(stand: GatewayStand, body: string, tally: Tally): Promise<void> {
  let client: LoadClient | undefined;
  const startedAt = performance.now();
  try {
    client = await LoadClient.open(stand.target());
    const { head, headAt } = await client.exchange(body);
    const status = head.slice(9, 12);
    if (status === "200") {
      tally.firstTokens.push(headAt - startedAt);
      return;
    }
    tally.refused[status] = (tally.refused[status] ?? 0) + 1;
    if (!/\r\nretry-after: [1-9]/i.test(head)) ++tally.withoutRetryAfter;
  } catch {
    ++tally.broken;
  } finally {
    client?.close();
  }
}

/** Requests leave on time, whether or not earlier ones are answered. */
async function offer(stand: GatewayStand, model: string, perSecond: number, seconds: number) {
  const tally: Tally = { firstTokens: [], refused: {}, withoutRetryAfter: 0, broken: 0 };
  const asked: Promise<void>[] = [];
  const startedAt = performance.now();
  for (let elapsed = 0; elapsed < seconds; elapsed = (performance.now() - startedAt) / 1000) {
    while (asked.length < elapsed * perSecond) {
      asked.push(askOnce(stand, bodyOf(model, asked.length), tally));
    }
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
  }
  await Promise.all(asked);
  return { ...tally, offered: asked.length };
}

/** Highest values of the gateway's queue and memory while `act` runs. */
async function watch<T>(stand: GatewayStand, act: () => Promise<T>) {
  let queueMost = 0, rssMost = 0, done = false;
  const watching = (async () => {
    while (!done) {
      queueMost = Math.max(queueMost, await stand.metric("redraft_gateway_queue_size"));
      rssMost = Math.max(rssMost, await stand.metric("process_resident_memory_bytes"));
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();
  try {
    return { result: await act(), queueMost: () => queueMost, rssMost: () => rssMost };
  } finally {
    done = true;
    await watching;
  }
}

export async function measureOverload(seconds: number) {
  const settings = await prepareNode({ "slots-max": String(SLOTS), "queue-max": "16" });
  const log = (line: string) => console.error(line);
  const node = new Service({
    name: "node",
    args: (port) => nodeArgs(settings, "127.0.0.1", port),
    log,
  });
  await node.start();
  try {
    await using stand = await GatewayStand.start({
      nodes: [`ws://127.0.0.1:${node.port}`],
      flags: [`--queue-timeout-s=${QUEUE_S}`, `--queue-max=${QUEUE_MAX}`],
    });
    const model = await stand.model();
    let n = 1e6;
    const load = () => bodyOf(model, ++n);
    await runLoad(stand.target(), SLOTS, 1, load); // Warm-up.
    const capacity = (await runLoad(stand.target(), SLOTS, CAPACITY_SECONDS, load)).perSecond;
    const idleRss = await stand.metric("process_resident_memory_bytes");
    const perSecond = OVERLOAD * capacity;
    const { result, queueMost, rssMost } = await watch(
      stand,
      () => offer(stand, model, perSecond, seconds),
    );
    return {
      seconds,
      capacity_per_second: round4(capacity),
      offered: result.offered,
      admitted: result.firstTokens.length,
      admitted_per_second: round4(result.firstTokens.length / seconds),
      refused: result.refused,
      refused_without_retry_after: result.withoutRetryAfter,
      broken: result.broken,
      first_token_p50_ms: round4(quantile(result.firstTokens, 0.5)),
      first_token_p99_ms: round4(quantile(result.firstTokens, 0.99)),
      target_ms: TARGET_MS,
      queue_most: queueMost(),
      queue_max: QUEUE_MAX,
      resident_mib_before: Math.round(idleRss / 2 ** 20),
      resident_mib_most: Math.round(rssMost() / 2 ** 20),
    };
  } finally {
    await node.stop(STOP_MS);
  }
}
