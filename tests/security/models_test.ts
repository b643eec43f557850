/** Models: their names, their files, and who may bring them. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { prepareNode } from "../../cli/node_options.ts";
import { modelIdOf } from "../../gpu-node/model_id.ts";
import { parseModelSource } from "../../tools/model_source.ts";
import { testModelPath } from "../support/test_model.ts";
import { withGateway } from "../support/scripted_gateway.ts";
import { AS_A, attack, errorOf, KEYED } from "./attack.ts";

attack(11, async () => {
  await withGateway(async ({ url, chat, node }) => {
    const names = ["../../etc/passwd", "..\\..\\x", "/etc/passwd", "scripted/../scripted", "a\0b"];
    for (const name of names) {
      assert.equal((await errorOf(await chat({ model: name }), 404)).code, "model_not_found");
      const response = await fetch(`${url}/v1/models/${encodeURIComponent(name)}`);
      await errorOf(response, 404);
    }
    assert.equal(node.submits.length, 0);
  });
  for (
    const path of ["/models/../../etc/passwd", "/m/..gguf", "/m/a\nb.gguf", "/m/<script>.gguf"]
  ) {
    assert.match(modelIdOf(path), /^[A-Za-z0-9_][A-Za-z0-9._-]*$/);
  }
  for (
    const source of ["hf:../../x/y", "hf:a/b/../../../c.gguf", "pypi:../x==1", "hf:a/b/%2e%2e/c"]
  ) {
    assert.throws(() => parseModelSource(source), source);
  }
});

/** Damage where a parser reads lengths and offsets: the head of the file. */
function damaged(head: Uint8Array, seed: number): Uint8Array {
  const bytes = head.slice();
  const view = new DataView(bytes.buffer);
  let state = seed;
  const next = (bound: number) => (state = state * 48271 % 2147483647) % bound;
  switch (seed % 4) {
    case 0: // Counts of tensors or of metadata past all that is there.
      view.setBigUint64(seed % 8 === 0 ? 8 : 16, 0xffff_ffff_ffff_ff00n, true);
      break;
    case 1: // A length that wraps around.
      view.setBigUint64(24, 0xffff_ffff_ffff_fff0n, true);
      break;
    default:
      for (let i = 0; i < 40; i++) bytes[24 + next(4000)] = next(256);
  }
  return bytes;
}

attack(12, async () => {
  await prepareNode({}); // Builds the engine where it is not.
  const folder = await Deno.makeTempDir();
  try {
    using file = await Deno.open(await testModelPath());
    const { size } = await file.stat();
    const head = new Uint8Array(4 << 20);
    await file.read(head);
    const paths: string[] = [];
    for (let seed = 1; seed <= 16; seed++) {
      const path = `${folder}/${seed}.gguf`;
      await Deno.writeFile(path, damaged(head, seed));
      // As long as it was, as holes; or cut off where its tensors should be.
      if (seed % 2 === 0) await Deno.truncate(path, size);
      paths.push(path);
    }
    await Deno.writeFile(`${folder}/empty.gguf`, new Uint8Array(0));
    await Deno.writeFile(`${folder}/short.gguf`, head.subarray(0, 20));
    paths.push(`${folder}/empty.gguf`, `${folder}/short.gguf`, folder, "/dev/zero");
    const script = fileURLToPath(new URL("open_models.ts", import.meta.url));
    const process = new Deno.Command(Deno.execPath(), { args: ["run", "-A", script, ...paths] });
    const { code, stdout, stderr } = await process.output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const ends = new TextDecoder().decode(stdout).trim().split("\n");
    assert.equal(ends.length, paths.length);
    for (const end of ends) assert.match(end, /^(opened|bad_model|no_memory|unsupported)$/);
    assert.ok(ends.filter((end) => end === "bad_model").length >= 12, ends.join());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

attack(13, async () => {
  await withGateway(async ({ url }) => {
    const routes = ["/api/create", "/api/pull", "/api/push", "/api/copy", "/api/blobs/sha256:0"];
    routes.push("/v1/models", "/v1/files", "/v1/load_lora_adapter", "/v1/fine_tuning/jobs");
    for (const path of routes) {
      for (const method of ["POST", "PUT", "DELETE"]) {
        const init = { method, ...AS_A, body: method === "DELETE" ? null : "{}" };
        const response = await fetch(url + path, init);
        await response.body?.cancel();
        assert.ok([404, 405].includes(response.status), `${method} ${path}: ${response.status}`);
      }
    }
  }, KEYED);
});
