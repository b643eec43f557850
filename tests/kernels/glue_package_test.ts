import assert from "node:assert/strict";
import { createHash } from "node:crypto";

const GLUE = new URL("../../kernels/glue/", import.meta.url);

async function* sourceFiles(folder: string): AsyncGenerator<string> {
  for await (const entry of Deno.readDir(new URL(folder, GLUE))) {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) yield* sourceFiles(`${path}/`);
    else yield path;
  }
}

async function sha256(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(new URL(path, GLUE))).digest("hex");
}

Deno.test("the committed glue package is of the sources beside it", async () => {
  const paths = ["Cargo.lock", "Cargo.toml", ...await Array.fromAsync(sourceFiles("src/"))].sort();
  const actual = await Promise.all(paths.map(async (path) => `${await sha256(path)}  ${path}`));
  const text = await Deno.readTextFile(new URL("pkg/SOURCES.sha256", GLUE));
  const message = "kernels/glue has changed since its package was built: run kernels/glue/build.sh";
  assert.deepEqual(actual, text.trimEnd().split("\n"), message);
});

Deno.test("the glue package loads without any permission", async () => {
  const program = `import { hashPromptBlocks } from ${JSON.stringify(new URL("mod.ts", GLUE).href)};
    console.log(hashPromptBlocks(new Uint32Array(16), 16, new Uint8Array()).length);`;
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-config",
      `data:text/javascript,${encodeURIComponent(program)}`,
    ],
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await command.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  assert.equal(new TextDecoder().decode(stdout).trim(), "1");
});

Deno.test("the glue package is small", async () => {
  const { size } = await Deno.stat(new URL("pkg/redraft_glue_bg.wasm", GLUE));
  assert(size < 1 << 20, `${size} bytes`);
});
