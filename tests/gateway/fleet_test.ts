/** `/v1/fleet` of several gateways that share nodes. */
import assert from "node:assert/strict";
import { startGateway } from "../../gateway/gateway.ts";
import { readOptions } from "../../gateway/options.ts";
import type { Fleet } from "../../proto/fleet.ts";
import { withNode } from "../gpu-node/fake_node.ts";
import { loadByteModel, MemoryLog, waitUntil } from "../support/scripted_gateway.ts";

async function fleetOf(port: number): Promise<Fleet> {
  return await (await fetch(`http://127.0.0.1:${port}/v1/fleet`)).json();
}

Deno.test("every gateway tells a node's sums alike, whichever of them was asked", async () => {
  await withNode(async ({ engine, port }) => {
    const args = ["--port", "0", "--drain-settle-s", "0", "--node", `ws://127.0.0.1:${port}`];
    const gateways = await Promise.all(
      [0, 1].map(() =>
        startGateway(readOptions(args, () => undefined), new MemoryLog(), loadByteModel)
      ),
    );
    try {
      const links = gateways.map(({ services }) => services.pool.links[0]!);
      await waitUntil(() => links.every(({ state }) => state === "ready"), "nodes ready");
      // One of them gets all the work.
      const body = { model: engine.model.id, messages: [{ role: "user", content: "Hi there" }] };
      const response = await fetch(`http://127.0.0.1:${gateways[0]!.port}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...body, max_tokens: 30, temperature: 0 }),
      });
      assert.equal((await response.json()).usage.completion_tokens, 30);
      const { sequenceSteps, prefixQueries, acceptedByDepth } = engine.counters();
      const knows = () => links.every(({ status }) => status?.totals.steps === sequenceSteps);
      await waitUntil(knows, "both heard of every step");
      const [one, two] = await Promise.all(gateways.map((gateway) => fleetOf(gateway.port)));
      assert.notEqual(one!.gateway, two!.gateway);
      assert.deepEqual(one!.nodes, two!.nodes);
      const [node] = two!.nodes;
      assert.ok(node!.steps > 0 && node!.prompt_tokens === prefixQueries);
      assert.deepEqual(node!.accepted_by_depth, acceptedByDepth);
    } finally {
      await Promise.all(gateways.map((gateway) => gateway.close()));
    }
  });
});
