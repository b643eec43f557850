/** The edge recipe: the gateway as one file, with the permissions of deploy/edge/run.sh, streams an
 * answer of a real node. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { shownWords } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";
import { eventually, Served } from "../support/served.ts";
import { readStream } from "../support/sse.ts";
import { must, ran } from "./scripts.ts";

const KEY = "sk-edge-0123456789";
const RUN = join(ROOT, "deploy", "edge", "run.sh");
/** A gateway is small: what an edge platform takes is a few MB. */
const BYTES_MAX = 5_000_000;
const READY_MS_MAX = 30_000;

async function portOf(gateway: Deno.ChildProcess): Promise<number> {
  const reader = gateway.stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return JSON.parse(new TextDecoder().decode(value)).port;
}

Deno.test("edge: one file serves with the network, variables and configuration alone", async () => {
  const folder = await Deno.makeTempDir();
  const file = join(folder, "gateway.js");
  const config = join(folder, "gateway.yaml");
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  await Deno.writeTextFile(config, `keys: [{ tenant: a, sha256: ${sha256} }]\n`);
  const build = await shownWords("deploy/README.md", "deploy/edge/build.sh");
  await must(build.program, [...build.args, file]);
  assert.ok((await Deno.stat(file)).size < BYTES_MAX);
  await using served = await Served.start("--threads=1");
  const given = { "gateway.yaml": config };
  const run = await shownWords("deploy/README.md", "deploy/edge/run.sh gateway.yaml", given);
  const gateway = new Deno.Command(run.program, {
    args: [...run.args, "--port=0", `--node=ws://127.0.0.1:${served.ready.node_port}`],
    // Packages cannot be where a platform has only the file.
    env: { DENO: Deno.execPath(), FILE: file, DENO_DIR: join(folder, "empty") },
    cwd: folder,
    stdout: "piped",
    stderr: "null",
  }).spawn();
  try {
    const url = `http://127.0.0.1:${await portOf(gateway)}`;
    const isReady = async () => {
      const response = await fetch(`${url}/readyz`);
      await response.body?.cancel();
      return response.ok;
    };
    await eventually(isReady, READY_MS_MAX, () => "not ready");
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
      body: JSON.stringify({
        model: served.model,
        messages: [{ role: "user", content: "Name three rivers." }],
        stream: true,
        temperature: 0,
        max_tokens: 8,
      }),
    });
    const { text, done } = await readStream(response);
    assert.ok(done && text.length > 8, text);
    const page = await fetch(url);
    assert.match(await page.text(), /<!doctype html>/i);
  } finally {
    gateway.kill("SIGTERM");
    await gateway.status;
    await gateway.stdout.cancel();
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("edge: a missing bundle or configuration is refused, with what to do", async () => {
  const missing = await ran(RUN, []);
  assert.match(missing.text, /CONFIG is missing: name/);
  const bundle = await ran(RUN, ["/nowhere.yaml"], { FILE: "/nowhere.js" });
  assert.match(bundle.text, /Cannot read \/nowhere\.js: run deploy\/edge\/build\.sh/);
  const config = await ran(RUN, ["/nowhere.yaml"], { FILE: RUN });
  assert.match(config.text, /Cannot read \/nowhere\.yaml: write it/);
  assert.ok([missing, bundle, config].every(({ code }) => code === 1));
});
