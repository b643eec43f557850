/** Links of the topology that lose packets, or all of them. @module */
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { must, ran } from "./scripts.ts";
import { BRIDGE, linkOf, netnsOf, NODES, SUBNET } from "./topology.ts";

const LINK_SCRIPT = join(ROOT, "tests", "deploy", "lossy_link.py");

/** Makes a link good again.
 * @returns How many packets it lost meanwhile. */
export type Mend = () => Promise<number>;

/** Whether the kernel can lose and delay packets itself. */
export async function hasNetem(): Promise<boolean> {
  const add = "qdisc add dev lo root netem delay 1ms".split(" ");
  if ((await ran("tc", ["-n", netnsOf("front"), ...add])).code !== 0) return false;
  await must("tc", ["-n", netnsOf("front"), ..."qdisc del dev lo root".split(" ")]);
  return true;
}

async function netemMend(node: string): Promise<Mend> {
  const inside = ["-n", netnsOf(node)];
  const netem = "qdisc add dev eth0 root netem loss 2% delay 10ms 5ms".split(" ");
  await must("tc", [...inside, ...netem]);
  return async () => {
    const text = await must("tc", [...inside, "-s", "qdisc", "show", "dev", "eth0"]);
    await must("tc", [...inside, "qdisc", "del", "dev", "eth0", "root"]);
    return Number(/dropped (\d+)/.exec(text)?.[1] ?? 0);
  };
}

/** A program between the node's link and the bridge, for kernels without netem. */
async function programMend(node: string): Promise<Mend> {
  const port = linkOf(node), near = linkOf(node, "rw"), far = linkOf(node, "rx");
  await must("ip", ["link", "add", near, "type", "veth", "peer", "name", far]);
  await must("ip", ["link", "set", far, "master", BRIDGE, "up"]);
  await must("ip", ["link", "set", near, "up"]);
  await must("ip", ["link", "set", port, "nomaster"]);
  const child = new Deno.Command("python3", {
    args: [LINK_SCRIPT, port, near, "--loss=0.02", "--delay-ms=10", "--jitter-ms=5"],
    stdout: "piped",
  }).spawn();
  return async () => {
    child.kill("SIGTERM");
    const { stdout } = await child.output();
    await must("ip", ["link", "del", near]);
    await must("ip", ["link", "set", port, "master", BRIDGE]);
    return Number(/(\d+) lost/.exec(new TextDecoder().decode(stdout))?.[1] ?? 0);
  };
}

/** Loss of 2 % and a delay of 10 to 15 ms on every node's link while `work` runs.
 * @returns Packets lost, by node. */
export async function whileLossy(work: () => Promise<unknown>): Promise<number[]> {
  const netem = await hasNetem();
  const mends: Mend[] = [];
  const lost: number[] = [];
  try {
    for (const node of NODES) mends.push(await (netem ? netemMend(node) : programMend(node)));
    await work();
  } finally {
    for (const mend of mends) lost.push(await mend());
  }
  return lost;
}

/** Checksums and segments are the sender's own work from now on: lossy_link.py says why. */
export async function makePlain(): Promise<void> {
  for (const name of ["front", "gateway1", "gateway2", ...NODES]) {
    const args = ["netns", "exec", netnsOf(name), "python3", LINK_SCRIPT, "--plain", "eth0"];
    await must("ip", args);
  }
}

/** Redis hears gateway1 and cannot answer: to the gateway it is silent, and no connection ends. */
export async function whilePartitioned(work: () => Promise<unknown>): Promise<void> {
  const route = (verb: string) =>
    must("ip", ["-n", netnsOf("redis"), "route", verb, "blackhole", `${SUBNET}.21/32`]);
  await route("add");
  try {
    await work();
  } finally {
    await route("del");
  }
}
