/** What happens to the topology while the load runs. Each phase says what it did, and throws where
 * it did nothing: a phase that nothing happens in proves nothing. @module */
import { must, script } from "./scripts.ts";
import type { Load } from "./load.ts";
import { whileLossy, whilePartitioned } from "./links.ts";
import { bodyStatus, dripMs, NO_BODY, SLOW_HEADERS } from "./slow_clients.ts";
import {
  awaitStore,
  busiestNode,
  ENV,
  FRONT,
  FRONT_URL,
  gatewayMetric,
  GATEWAYS,
  kill,
  limitKey,
  readKey,
  sleep,
} from "./topology.ts";

const SLOW_CLIENTS = 50;
/** nginx's five and ten seconds, and what a busy machine adds. */
const HEADER_MS_MAX = 8_000;
const BODY_MS_MAX = 14_000;
const BODY_BYTES_OVER = (8 << 20) + 1;

export interface Phase {
  name: string;
  work: (load: Load) => Promise<string>;
  /** Whether the short form has it. */
  short?: boolean;
}

function expect(condition: boolean, words: string): void {
  if (!condition) throw new Error(words);
}

const seconds = (ms: number) => (ms / 1000).toFixed(1);

async function slowClients(): Promise<string> {
  const [headers, body, size] = await Promise.all([
    Promise.all(
      Array.from({ length: SLOW_CLIENTS }, () => dripMs(FRONT, SLOW_HEADERS, "a", 30_000)),
    ),
    dripMs(FRONT, NO_BODY, "", 30_000),
    bodyStatus(FRONT_URL, BODY_BYTES_OVER),
  ]);
  const longest = Math.max(...headers);
  expect(longest <= HEADER_MS_MAX, `a client of slow headers was borne with for ${longest} ms`);
  expect(body <= BODY_MS_MAX, `a client that sends no body was borne with for ${body} ms`);
  expect(size === 413, `a body over 8 MiB got ${size}, not 413`);
  return `${SLOW_CLIENTS} clients of slow headers were cut after ${seconds(longest)} s, one ` +
    `without its body after ${seconds(body)} s; 8 MiB and a byte got 413`;
}

async function loss(ms: number): Promise<string> {
  const lost = await whileLossy(() => sleep(ms));
  expect(lost.some((count) => count > 0), "no link lost a packet");
  return `packets lost by node: ${lost.join(", ")}`;
}

/** Requests are counted in Redis from here on; the one gateway counts alone. */
async function partition(load: Load, ms: number): Promise<string> {
  await limitKey(load.key);
  await whilePartitioned(async () => {
    await awaitStore(GATEWAYS[0]!, "away");
    await sleep(ms);
  });
  for (const gateway of GATEWAYS) await awaitStore(gateway, "ready");
  return `${seconds(ms)} s without an answer of Redis: it was away, and is shared again`;
}

/** As a crash of the node that has most streams, then started again by the script. */
async function killNode(load: Load): Promise<string> {
  await sleep(1000);
  const before = await movesOf(load);
  const node = await busiestNode(load.key);
  await kill(node);
  await sleep(4000);
  const moved = await movesOf(load) - before;
  expect(moved > 0, `${node} had no stream that moved`);
  await must(script("roll.sh"), [node], ENV);
  return `${node} was killed; ${moved} streams went on elsewhere`;
}

async function movesOf({ key }: Load): Promise<number> {
  return (await gatewayMetric("redraft_gateway_moves_total", key)).get("") ?? 0;
}

async function killRedis(): Promise<string> {
  await kill("redis");
  for (const gateway of GATEWAYS) await awaitStore(gateway, "away");
  await sleep(2000);
  await must(script("roll.sh"), ["redis"], ENV);
  for (const gateway of GATEWAYS) await awaitStore(gateway, "ready");
  return "both gateways served on alone, and share again";
}

async function rotate(load: Load): Promise<string> {
  const old = load.key;
  await must(script("rotate.sh"), ["key"], ENV);
  load.key = await readKey();
  expect(load.key !== old, "the key is the old one");
  await must(script("rotate.sh"), ["retire-keys"], ENV);
  const headers = { authorization: `Bearer ${old}` };
  const response = await fetch(`${FRONT_URL}/v1/models`, { headers });
  await response.body?.cancel();
  expect(response.status === 401, `the old key got ${response.status}`);
  await must(script("rotate.sh"), ["token"], ENV);
  return "the old key gets 401; nodes and gateways have a new token";
}

async function roll(...names: string[]): Promise<string> {
  const text = await must(script("roll.sh"), names, ENV);
  const rolled = text.match(/\brolled in/g)?.length ?? 0;
  expect(rolled === (names.length || 7), `${rolled} instances were rolled:\n${text}`);
  return `${rolled} instances, one at a time`;
}

export const PHASES: readonly Phase[] = [
  { name: "steady", work: () => sleep(5_000).then(() => ""), short: true },
  { name: "slow clients", work: slowClients, short: true },
  { name: "loss 2 %, delay 10-15 ms on node links", work: () => loss(20_000) },
  { name: "gateway1 cut off from Redis", work: (load) => partition(load, 15_000) },
  { name: "busiest node killed (-9)", work: killNode, short: true },
  { name: "Redis killed (-9)", work: killRedis },
  { name: "API key and node token rotated", work: rotate },
  { name: "roll.sh over all", work: () => roll() },
];
