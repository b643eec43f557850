/** The short form of deploy/test_namespaces.sh: what deploy/ stands up loses and changes no answer
 * while clients hold connections and its busiest node is killed. */
import assert from "node:assert/strict";
import { shownWords } from "../docs/shown.ts";
import { ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

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
    const line = "deploy/test_namespaces.sh";
    const { program, args } = await shownWords("deploy/README.md", line);
    const { code, text } = await ran(program, [...args, "--short"]);
    const rows = [...text.matchAll(/^\| [^|]+ \| (\d+) \| (\d+) \| (\d+) \|/gm)];
    assert.ok(rows.length >= 3, text);
    for (const [row, requests, failed, changed] of rows) {
      assert.ok(Number(requests) > 0 && failed === "0" && changed === "0", row);
    }
    assert.equal(code, 0, text);
  });
}
