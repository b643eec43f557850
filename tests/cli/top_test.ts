/** `redraft top`: one plain table through a pipe, drawn anew in a terminal. */
import assert from "node:assert/strict";
import { fleetLines } from "../../cli/fleet_table.ts";
import type { Fleet } from "../../proto/fleet.ts";
import { runPiped, Terminal } from "../support/command.ts";
import { waitUntil, withGateway } from "../support/scripted_gateway.ts";

Deno.test("top through a pipe is one table of what the nodes did", async () => {
  await withGateway(async ({ url, chat, nodes, gateway }) => {
    await (await chat()).text();
    for (const node of nodes) node.status();
    const { links } = gateway.services.pool;
    await waitUntil(() => links.some(({ status }) => status?.totals.steps === 2), "totals");
    const { code, stdout, stderr } = await runPiped(["top", "--url", url]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f]/);
    const lines = stdout.trimEnd().split("\n");
    assert.equal(lines.length, 5);
    assert.match(lines[0]!, /^2 of 2 nodes ready; gateway-[0-9a-f]{8}: 0 requests, 0 waiting, /);
    assert.match(lines[2]!, /^NODE .*SLOTS .*ACCEPTED/);
    assert.match(lines[3]! + lines[4]!, /ready +0\/8 .* 100 100 {3}0 {3}0/);
  }, { nodes: [{}, {}] });
});

Deno.test("a fleet whose nodes are away still makes a table", () => {
  const fleet: Fleet = {
    gateway: "gateway-1",
    requests_active: 1,
    queue: { waiting: 2, stranded: 0 },
    cache: { entries: 0, bytes: 0 },
    nodes: [{
      index: 0,
      state: "connecting",
      backend: null,
      model: null,
      slots_max: 0,
      slots_busy: 0,
      active: 0,
      queue: 0,
      pages_max: 0,
      pages_used: 0,
      tokens_per_step: 0,
      tokens_per_second: 0,
      prompt_tokens: 0,
      prompt_tokens_cached: 0,
      steps: 0,
      drafted: 0,
      accepted_by_depth: [],
    }],
  };
  const [total, , head, row] = fleetLines(fleet);
  assert.equal(total, "0 of 1 nodes ready; gateway-1: 1 requests, 2 waiting, 0 answers held");
  assert.match(head!, /^NODE +STATE/);
  assert.match(row!, /^0 - +connecting +0\/0 +0\/0 +0 +0\.00 +0 +- +-$/);
});

Deno.test("in a terminal top is drawn anew, outlives the gateway, and q leaves", async () => {
  const open = Promise.withResolvers<Terminal>();
  await withGateway(async ({ url, node }) => {
    const terminal = new Terminal(["top", "--url", url, "--interval-s", "0.2"]);
    // deno-lint-ignore no-control-regex
    await terminal.see(/\x1b\[\?1049h[\s\S]*1 of 1 nodes ready/);
    await node.stop();
    await terminal.see(/0 of 1 nodes ready/);
    open.resolve(terminal);
  });
  await using terminal = await open.promise;
  await terminal.see(/Cannot reach a gateway/);
  await terminal.type("q");
  // deno-lint-ignore no-control-regex
  await terminal.see(/\x1b\[\?1049l/);
  assert.equal(await terminal.end(), 0);
});
