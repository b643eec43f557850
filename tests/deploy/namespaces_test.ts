/** The short form of deploy/test_namespaces.sh: what deploy/ stands up loses and changes no answer
 * while clients hold connections and its busiest node is killed. */
import assert from "node:assert/strict";
import { phaseTable } from "./load.ts";
import { prove } from "./namespaces.ts";
import { ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";
import { down } from "./topology.ts";

const TOOLS = [
  await debianTool("ip", "iproute2"),
  await debianTool("nginx", "nginx-light"),
  await debianTool("redis-server"),
  await debianTool("curl"),
];

/** Root alone may make networks, and not in every container. */
async function mayMakeNetworks(): Promise<boolean> {
  if (!TOOLS.every(Boolean)) return false;
  const name = `redraft-probe-${Deno.pid}`;
  if ((await ran("ip", ["netns", "add", name])).code === 0) {
    const veth = ["-n", name, "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"];
    const { code } = await ran("ip", veth);
    await ran("ip", ["netns", "del", name]);
    if (code === 0) return true;
  }
  console.warn(
    "Not checked on this machine: the topology of deploy/; network namespaces need root",
  );
  return false;
}

if (await mayMakeNetworks()) {
  Deno.test("namespaces: no answer is lost or changed, short form", async () => {
    try {
      const phases = await prove(undefined, true);
      assert.ok(phases.length >= 3);
      for (const { failed, changed } of phases) {
        assert.deepEqual([failed, changed], [[], []], phaseTable(phases));
      }
    } finally {
      await down();
    }
  });
}
