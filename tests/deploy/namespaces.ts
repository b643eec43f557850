/** `deno task test:deploy`: what deploy/ stands up, in network namespaces of this machine (two
 * gateways, three nodes, Redis, nginx), under a streaming load while links lose packets, Redis is
 * out of reach, a node is killed and everything is rolled. Needs root, ip, nginx, redis-server.
 * @module */
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { eventually } from "../support/served.ts";
import { Load, type Phase, phaseTable } from "./load.ts";
import { must, ran, script, slowHeaderMs } from "./scripts.ts";

const STATE = Deno.env.get("REDRAFT_STATE") ?? join(ROOT, "build", "deploy_proof");
const ENV = { REDRAFT_STATE: STATE, REDRAFT_NODE_FLAGS: "--pages-max=512" };
const SUBNET = "10.231.0";
const FRONT = { hostname: `${SUBNET}.10`, port: 8000 };
const GATEWAYS = [1, 2].map((i) => `http://${SUBNET}.${20 + i}:${8000 + i}`);
const NODES = ["node1", "node2", "node3"];
const CLIENTS = 4;
const TOKENS_MAX = 32;
const HEADER_MS_MAX = 7_000;
const STORE_MS_MAX = 60_000;
const PARTITION_MS = 15_000;
const LINK_SCRIPT = join(ROOT, "tests", "deploy", "lossy_link.py");

const log = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function storeOf(gateway: string): Promise<string> {
  try {
    const response = await fetch(`${gateway}/readyz`, { signal: AbortSignal.timeout(2000) });
    return (await response.json()).store;
  } catch {
    return "silent";
  }
}

async function awaitStore(gateway: string, state: string): Promise<void> {
  let last = "";
  await eventually(
    async () => (last = await storeOf(gateway)) === state,
    STORE_MS_MAX,
    () => `the store of ${gateway} is ${last}, not ${state}`,
  );
}

/** Loss and delay on a node's link: by the kernel where it can, else by a program in between. */
async function worsen(node: string): Promise<() => Promise<void>> {
  const inside = `redraft-${node}`;
  const netem = "qdisc add dev eth0 root netem loss 2% delay 10ms 5ms".split(" ");
  if ((await ran("tc", ["-n", inside, ...netem])).code === 0) {
    return async () => void await must("tc", ["-n", inside, "qdisc", "del", "dev", "eth0", "root"]);
  }
  const port = `rd-${node}`, near = `rw-${node}`, far = `rx-${node}`;
  await must("ip", ["link", "set", port, "nomaster"]);
  await must("ip", ["link", "add", near, "type", "veth", "peer", "name", far]);
  await must("ip", ["link", "set", far, "master", "redraft0", "up"]);
  await must("ip", ["link", "set", near, "up"]);
  const child = new Deno.Command("python3", {
    args: [LINK_SCRIPT, port, near, "--loss=0.02", "--delay-ms=10", "--jitter-ms=5"],
    stdout: "piped",
  }).spawn();
  return async () => {
    child.kill("SIGTERM");
    const { stdout } = await child.output();
    log(`  ${node}: ${new TextDecoder().decode(stdout).trim().split("\n").at(-1)}`);
    await must("ip", ["link", "del", near]);
    await must("ip", ["link", "set", port, "master", "redraft0"]);
  };
}

/** Sums and segments are the sender's own work from now on: see lossy_link.py. */
async function makePlain(): Promise<void> {
  for (const name of ["front", "gateway1", "gateway2", ...NODES]) {
    const args = ["netns", "exec", `redraft-${name}`, "python3", LINK_SCRIPT, "--plain", "eth0"];
    await must("ip", args);
  }
}

async function loss(): Promise<void> {
  const mends = [];
  for (const node of NODES) mends.push(await worsen(node));
  try {
    await sleep(20_000);
  } finally {
    for (const mend of mends) await mend();
  }
}

/** Redis hears gateway1 and cannot answer it: to the gateway it is silent. Streams must go on, with
 * limits counted alone; /readyz may still say "ready", as no connection has ended. */
async function partition(): Promise<void> {
  const route = (verb: string) =>
    must("ip", ["-n", "redraft-redis", "route", verb, "blackhole", `${SUBNET}.21/32`]);
  await route("add");
  try {
    await sleep(PARTITION_MS);
    log(`  gateway1 says that its store is ${await storeOf(GATEWAYS[0]!)}`);
  } finally {
    await route("del");
  }
  await awaitStore(GATEWAYS[0]!, "ready");
}

/** As a crash, then started again by the script. */
async function kill(): Promise<void> {
  await sleep(2000);
  const pid = Number(await Deno.readTextFile(join(STATE, "node2.pid")));
  Deno.kill(pid, "SIGKILL");
  await sleep(5000);
  await must(script("roll.sh"), ["node2"], ENV);
}

const PHASES: ReadonlyArray<readonly [name: string, work: () => Promise<unknown>]> = [
  ["steady", () => sleep(10_000)],
  ["loss 2 %, delay 10-15 ms on node links", loss],
  ["gateway1 cut off from Redis", partition],
  ["node2 killed (-9)", kill],
  ["roll.sh over all", async () => log(await must(script("roll.sh"), [], ENV))],
];

async function prove(): Promise<boolean> {
  log(
    await must(
      script("up.sh"),
      ["--namespaces", "--nodes=3", "--threads=1"].flatMap((arg) => arg.split("=")),
      ENV,
    ),
  );
  await makePlain();
  const url = `http://${FRONT.hostname}:${FRONT.port}`;
  const key = await Deno.readTextFile(join(STATE, "key"));
  const models = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } });
  const load = new Load(url, key, (await models.json()).data[0].id, TOKENS_MAX);
  await load.learn();
  const only = Deno.args[0];
  const phases: Phase[] = [];
  for (const [name, work] of PHASES) {
    if (only !== undefined && !name.includes(only)) continue;
    log(name);
    const phase = await load.during(name, CLIENTS, 3, work);
    phases.push(phase);
    for (const words of [...phase.failed, ...phase.changed].slice(0, 5)) log(`  ${words}`);
  }
  const cutMs = await slowHeaderMs(FRONT.hostname, FRONT.port, 30_000);
  console.log(phaseTable(phases));
  console.log(`\nA client of slow headers was cut after ${(cutMs / 1000).toFixed(1)} s.`);
  return cutMs <= HEADER_MS_MAX &&
    phases.every(({ failed, changed }) => failed.length + changed.length === 0);
}

async function main(): Promise<number> {
  try {
    return await prove() ? 0 : 1;
  } finally {
    log((await ran(script("down.sh"), ["--now"], ENV)).text);
  }
}

if (import.meta.main) Deno.exit(await main());
