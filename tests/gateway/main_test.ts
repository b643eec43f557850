/** The gateway as a process of its own, with the permissions that it ships with. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ScriptedNode } from "../support/scripted_node.ts";

const MAIN = new URL("../../gateway/main.ts", import.meta.url).href;

function start(
  args: string[],
  env: Record<string, string> = {},
  permissions: string[] = [],
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", "--allow-env", ...permissions, MAIN, ...args],
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
  assert.match(new TextDecoder().decode(stderr), /--host 0\.0\.0\.0.*no API keys/);
});

Deno.test("refuses a port in use, by its number", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const { code, stdout, stderr } = await start(["--port", String(port)]).output();
  assert.equal(code, 1);
  assert.equal(stdout.length, 0);
  const words = `Cannot listen on 127.0.0.1:${port}: the port is in use; --port names another`;
  assert.equal(new TextDecoder().decode(stderr).trim(), `gateway: Error: ${words}`);
});

Deno.test("--help helps, a wrong flag is named", async () => {
  const help = await start(["--help"]).output();
  assert.equal(help.code, 0);
  assert.match(new TextDecoder().decode(help.stdout), /--node URL/);
  const wrong = await start(["--prot", "1"]).output();
  assert.equal(wrong.code, 2);
  assert.match(new TextDecoder().decode(wrong.stderr), /--prot/);
});

Deno.test("keys come from its configuration file, again on SIGHUP and on changes", async () => {
  const path = await Deno.makeTempFile({ suffix: ".yaml" });
  const write = (key: string, more = "") => {
    const sha256 = createHash("sha256").update(key).digest("hex");
    return Deno.writeTextFile(path, `keys: [{ tenant: a, sha256: ${sha256} }]\n${more}`);
  };
  await write("sk-first-0123");
  const args = ["--config", path, "--port", "0", "--host", "0.0.0.0", "--drain-settle-s", "0"];
  const gateway = start(args, {}, [`--allow-read=${path}`]);
  const ready = JSON.parse(await firstLine(gateway.stdout));
  const statusOf = async (key: string) => {
    const response = await fetch(`http://127.0.0.1:${ready.port}/v1/models`, {
      headers: { authorization: `Bearer ${key}` },
    });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await statusOf("sk-first-0123"), 200);
  await write("sk-second-0123");
  gateway.kill("SIGHUP");
  while (await statusOf("sk-first-0123") !== 401) await new Promise((r) => setTimeout(r, 5));
  assert.equal(await statusOf("sk-second-0123"), 200);
  // A broken file changes nothing; without keys it would stand open to other machines.
  await Deno.writeTextFile(path, "keys: []");
  gateway.kill("SIGHUP");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(await statusOf("nobody"), 401);
  assert.equal(await statusOf("sk-second-0123"), 200);
  // As a mounted secret is replaced: nobody sends a signal.
  await write("sk-third-0123", "body_max_mib: 1\nstore: redis://127.0.0.1:1");
  while (await statusOf("sk-third-0123") !== 200) await new Promise((r) => setTimeout(r, 50));
  assert.equal(await statusOf("sk-second-0123"), 401);
  const about = await fetch(`http://127.0.0.1:${ready.port}/v1/capabilities`, {
    headers: { authorization: "Bearer sk-third-0123" },
  });
  assert.equal((await about.json()).bounds.body_bytes, 1 << 20);
  gateway.kill("SIGTERM");
  const log = await new Response(gateway.stderr).text();
  assert.equal((await gateway.status).code, 0);
  assert.match(log, /config\.reloaded[^]*config\.refused/);
  assert.match(log, /"waits_for_restart":\["store"\]/);
  await gateway.stdout.cancel();
  await Deno.remove(path);
});

Deno.test("a configuration file with mistakes is refused with all of them", async () => {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(path, '{"keys":[{"tenant":"a"}],"prot":1}');
  const process = start(["--config", path], {}, [`--allow-read=${path}`]);
  const { code, stderr } = await process.output();
  assert.equal(code, 2);
  assert.match(new TextDecoder().decode(stderr), /'prot'[^]*'keys\[0\]\.sha256'/);
  await Deno.remove(path);
});
