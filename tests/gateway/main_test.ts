/** The gateway as a process of its own, with the permissions that it ships with. */
import assert from "node:assert/strict";
import { ScriptedNode } from "../support/scripted_node.ts";

const MAIN = new URL("../../gateway/main.ts", import.meta.url).href;

function start(args: string[], env: Record<string, string> = {}): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", "--allow-env", MAIN, ...args],
    env,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  reader.releaseLock();
  return text.split("\n")[0]!;
}

Deno.test("says one JSON line when it listens, serves, and ends on SIGTERM", async () => {
  const node = new ScriptedNode();
  const gateway = start(["--port", "0", "--node", node.url, "--drain-settle-s", "0"]);
  const ready = JSON.parse(await firstLine(gateway.stdout));
  assert.equal(ready.event, "ready");
  const health = await fetch(`http://127.0.0.1:${ready.port}/healthz`);
  assert.deepEqual(await health.json(), { status: "ok" });
  // The scripted tokenizer is none that the real loader takes: the node is kept out, the gateway
  // lives and says so.
  const readiness = await fetch(`http://127.0.0.1:${ready.port}/readyz`);
  assert.equal(readiness.status, 503);
  assert.equal((await readiness.json()).status, "no_node");
  gateway.kill("SIGTERM");
  const { code } = await gateway.status;
  assert.equal(code, 0);
  await gateway.stdout.cancel();
  await gateway.stderr.cancel();
  await node.stop();
});

Deno.test("refuses to be reached from other machines without keys", async () => {
  const { code, stdout, stderr } = await start(["--host", "0.0.0.0", "--port", "0"]).output();
  assert.equal(code, 2);
  assert.equal(stdout.length, 0);
  assert.match(new TextDecoder().decode(stderr), /--host 0\.0\.0\.0.*REDRAFT_API_KEYS/);
});

Deno.test("--help helps, a wrong flag is named", async () => {
  const help = await start(["--help"]).output();
  assert.equal(help.code, 0);
  assert.match(new TextDecoder().decode(help.stdout), /--node URL/);
  const wrong = await start(["--prot", "1"]).output();
  assert.equal(wrong.code, 2);
  assert.match(new TextDecoder().decode(wrong.stderr), /--prot/);
});
