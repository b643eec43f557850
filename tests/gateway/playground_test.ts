/** The playground's files: of the sources beside them, small, strict, and off where told so. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { statusOf, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { Answer } from "../../playground/src/trace.ts";

const FOLDER = new URL("../../playground/", import.meta.url);

Deno.test("the committed bundle is of the sources beside it, and small", async () => {
  const entries = await Array.fromAsync(Deno.readDir(new URL("src/", FOLDER)));
  const paths = entries.map(({ name }) => `src/${name}`).sort();
  const lines = await Promise.all(paths.map(async (path) => {
    const bytes = await Deno.readFile(new URL(path, FOLDER));
    return `${createHash("sha256").update(bytes).digest("hex")}  ${path}`;
  }));
  const text = await Deno.readTextFile(new URL("pkg/SOURCES.sha256", FOLDER));
  assert.deepEqual(lines, text.trimEnd().split("\n"), "run deno task build:playground");
  assert.ok((await Deno.stat(new URL("pkg/files.js", FOLDER))).size < 200_000);
});

Deno.test("the page comes with a strict policy, and not where it is off", async () => {
  await withGateway(async ({ url }) => {
    for (const path of ["/", "/playground.js", "/playground.css", "/playground.svg"]) {
      const response = await fetch(url + path);
      assert.equal(response.status, 200);
      const policy = response.headers.get("content-security-policy")!;
      assert.match(policy, /default-src 'none'/);
      assert.doesNotMatch(policy, /unsafe|https?:/);
      assert.doesNotMatch(await response.text(), /innerHTML=["'`]<|src="http/);
    }
  });
  await withGateway(async ({ url }) => {
    assert.equal(await statusOf(await fetch(`${url}/`)), 404);
  }, { args: ["--no-playground"] });
});

Deno.test("the fleet tells what its nodes counted, and who tells it", async () => {
  await withGateway(async ({ url, chat, node, gateway }) => {
    await (await chat()).text();
    node.status();
    await waitUntil(() => gateway.services.pool.links[0]!.status?.totals.steps === 2, "totals");
    const fleet = await (await fetch(`${url}/v1/fleet`)).json();
    assert.equal(fleet.gateway, gateway.services.gatewayId);
    assert.equal(fleet.nodes.length, 1);
    assert.equal(fleet.nodes[0].steps, 2);
    assert.deepEqual(fleet.nodes[0].accepted_by_depth.slice(0, 3), [2, 2, 0]);
  });
});

Deno.test("steps take their tokens in order, even where they come first", () => {
  const answer = new Answer();
  const step = { token_count: 2, drafted_count: 3, accepted_count: 1, tree: [] };
  answer.push("", [step], []);
  assert.equal(answer.steps.length, 0);
  answer.push("abc", [], [{ token: 1, end: 1 }, { token: 2, end: 3 }]);
  assert.deepEqual(answer.runs(), [
    { text: "a", origin: "draft", step: 0 },
    { text: "bc", origin: "bonus", step: 0 },
  ]);
  // Text that is held back keeps its step waiting; what no step accounts for is shown as it is.
  answer.push("d", [{ ...step, token_count: 1 }], [{ token: 3, end: 5 }]);
  assert.deepEqual(answer.runs().at(-1), { text: "d", origin: undefined, step: undefined });
  answer.push("e", [], []);
  assert.deepEqual(answer.runs().at(-1), { text: "de", origin: "draft", step: 1 });
});
