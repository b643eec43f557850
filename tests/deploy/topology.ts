/** What deploy/up.sh stands up in network namespaces, as a test sees it. @module */
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { eventually } from "../support/served.ts";
import { must, ran, script } from "./scripts.ts";

export const STATE = Deno.env.get("REDRAFT_STATE") ?? join(ROOT, "build", "deploy_proof");
/** Of its own, so that several may run on one machine. */
const TAG = (Deno.pid % 46_656).toString(36);
export const SUBNET = `10.${100 + Deno.pid % 100}.${Math.floor(Deno.pid / 100) % 250}`;
export const ENV = {
  REDRAFT_STATE: STATE,
  REDRAFT_NODE_FLAGS: "--pages-max=512",
  REDRAFT_TAG: TAG,
  REDRAFT_SUBNET: SUBNET,
};
export const BRIDGE = `redraft${TAG}-0`;
export const netnsOf = (name: string) => `redraft${TAG}-${name}`;
/** The machine's end of an instance's link, or an end of a link of ours. */
export const linkOf = (name: string, kind = "rd") => `${kind}${TAG}-${name}`;
export const FRONT = { hostname: `${SUBNET}.10`, port: 8000 };
export const FRONT_URL = `http://${FRONT.hostname}:${FRONT.port}`;
export const GATEWAYS = [1, 2].map((i) => `http://${SUBNET}.${20 + i}:${8000 + i}`);
export const NODES = ["node1", "node2", "node3"];
const STORE_MS_MAX = 60_000;
const KEY_MS_MAX = 10_000;

export const log = (line: string) =>
  console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
export const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
export const readKey = () => Deno.readTextFile(join(STATE, "key"));

export async function up(): Promise<void> {
  const args = ["--namespaces", "--nodes", String(NODES.length), "--threads", "1"];
  log(await must(script("up.sh"), args, ENV));
}

export async function down(): Promise<void> {
  log((await ran(script("down.sh"), ["--now"], ENV)).text);
}

async function storeOf(gateway: string): Promise<string> {
  try {
    const response = await fetch(`${gateway}/readyz`, { signal: AbortSignal.timeout(2000) });
    return (await response.json()).store;
  } catch {
    return "silent";
  }
}

/** Waits until a gateway says so of its Redis. */
export async function awaitStore(gateway: string, state: string): Promise<void> {
  let last = "";
  await eventually(
    async () => (last = await storeOf(gateway)) === state,
    STORE_MS_MAX,
    () => `the store of ${gateway} is ${last}, not ${state}`,
  );
}

/** A metric of the gateways, summed over all of them, by its label `node` or "". */
export async function gatewayMetric(name: string, key: string): Promise<Map<string, number>> {
  const sums = new Map<string, number>();
  for (const gateway of GATEWAYS) {
    const headers = { authorization: `Bearer ${key}` };
    const text = await (await fetch(`${gateway}/metrics`, { headers })).text();
    for (const line of text.split("\n")) {
      if (!line.startsWith(`${name}{`) && !line.startsWith(`${name} `)) continue;
      const node = /node="ws:\/\/([^:"]+)/.exec(line)?.[1] ?? "";
      sums.set(node, (sums.get(node) ?? 0) + Number(line.slice(line.lastIndexOf(" "))));
    }
  }
  return sums;
}

/** The node that has most streams right now. */
export async function busiestNode(key: string): Promise<string> {
  let busiest: string | undefined;
  await eventually(
    async () => {
      const streams = await gatewayMetric("redraft_gateway_node_streams", key);
      const [[host, count]] = [...streams].toSorted((a, b) => b[1] - a[1]) as [[string, number]];
      if (count > 0) busiest = `node${Number(host.split(".").at(-1)) - 40}`;
      return busiest !== undefined;
    },
    KEY_MS_MAX,
    () => "no node has a stream",
  );
  return busiest!;
}

/** Gives the key limits that are never reached, while all run: from then on each request is counted
 * in Redis. */
export async function limitKey(key: string): Promise<void> {
  const path = join(STATE, "gateway.yaml");
  const limits = "    requests_per_minute: 1000000\n    tokens_per_minute: 1000000000\n";
  await Deno.writeTextFile(path, (await Deno.readTextFile(path)).trimEnd() + `\n${limits}`);
  for (const gateway of GATEWAYS) {
    await eventually(
      async () => {
        const response = await fetch(`${gateway}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
          body: await tinyRequest(gateway, key),
        });
        await response.body?.cancel();
        return response.headers.has("x-ratelimit-limit-requests");
      },
      KEY_MS_MAX,
      () => `${gateway} does not limit the key`,
    );
  }
}

async function tinyRequest(gateway: string, key: string): Promise<string> {
  return JSON.stringify({
    model: await modelOf(gateway, key),
    messages: [{ role: "user", content: "Hi" }],
    max_tokens: 1,
  });
}

export async function modelOf(url: string, key: string): Promise<string> {
  const headers = { authorization: `Bearer ${key}` };
  const models = await fetch(`${url}/v1/models`, { headers });
  return (await models.json()).data[0].id;
}

export async function kill(name: string): Promise<void> {
  Deno.kill(Number(await Deno.readTextFile(join(STATE, `${name}.pid`))), "SIGKILL");
}
