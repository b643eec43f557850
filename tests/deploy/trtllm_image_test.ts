/** deploy/trtllm/Containerfile, which no machine of ours can build: everything that its programs
 * import is copied, and from that copy alone an engine's description is written. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { buildKernels } from "../../tools/build_kernels.ts";
import { BUILD } from "../../tools/paths.ts";
import { runProcess } from "../../tools/process.ts";
import { APPLE_CONFIG, writeHead } from "../support/apple_head.ts";
import { ROOT } from "../support/source_files.ts";
import { testModelPath } from "../support/test_model.ts";
import { filesOf } from "./image_files.ts";

const FILE = await Deno.readTextFile(join(ROOT, "deploy", "trtllm", "Containerfile"));

/** What is copied, and where below the image's folder it lies. */
const COPIES = [...FILE.matchAll(/^COPY (.+)$/gm)].flatMap(([, words]) => {
  const sources = words!.trim().split(/\s+/), target = sources.pop()!;
  return sources.map((from) => ({ from, to: target === "./" ? from : target }));
}).filter(({ to }) => !to.startsWith("/"));

const isCopied = (file: string) =>
  COPIES.some(({ from }) => file === from || file.startsWith(`${from}/`));

/** Files of ours that the image's commands name, and what those import. */
async function filesNeeded(): Promise<string[]> {
  const programs = ["gpu-node/main.ts", "deploy/trtllm/describe.ts", "deploy/images/healthy.ts"];
  // `mod.ts build` loads that one of its commands alone.
  const modules = await Promise.all([...programs, "cli/build.ts"].map(filesOf));
  const shim = await Deno.readTextFile(join(ROOT, "deploy", "trtllm", "build_shim.sh"));
  const sources = [...shim.matchAll(/\b(?:trtllm|common)\/\w+\.cc\b/g)].map(([path]) => path);
  assert.ok(sources.length >= 6, "the shim's sources were found");
  const scripts = ["build_shim.sh", "build_engine.sh", "check_head.py"];
  return [
    ...modules.flat(),
    ...["mod.ts", "deno.json", "deno.lock"],
    ...scripts.map((name) => `deploy/trtllm/${name}`),
    ...sources.map((path) => `kernels/${path}`),
  ];
}

Deno.test("images: TensorRT-LLM's holds all that its commands import", async () => {
  const needed = await filesNeeded();
  assert.ok(needed.length > 60, `${needed.length} files`);
  assert.deepEqual(needed.filter((file) => !isCopied(file)), []);
  for (const file of needed) await Deno.stat(join(ROOT, file));
  for (const { from } of COPIES) await Deno.stat(join(ROOT, from));
  for (const [, program] of FILE.matchAll(/\b((?:gpu-node|deploy\/trtllm)\/\w+\.(?:ts|sh))\b/g)) {
    assert.ok(needed.includes(program!), `${program} is not looked at here`);
  }
});

Deno.test("images: TensorRT-LLM's is pinned by digest, not root, without all permissions", () => {
  assert.match(FILE, /^FROM \$\{REGISTRY\}\/\S+\/release:1\.2\.1@sha256:[0-9a-f]{64}$/m);
  assert.match(FILE, /^USER 10001:10001$/m);
  const last = (word: string) => FILE.lastIndexOf(`\n${word} `);
  assert.ok(last("RUN") < last("USER") && last("COPY") < last("USER"));
  const entry = /^ENTRYPOINT (\[(?:.*\\\n)*.*\])$/m.exec(FILE)![1]!;
  const words: string[] = JSON.parse(entry.replaceAll("\\\n", ""));
  assert.ok(words.includes("--cached-only") && words.includes("--no-prompt"));
  assert.ok(!words.some((word) => word === "-A" || word === "--allow-all"));
});

async function copyTree(from: string, to: string): Promise<void> {
  if ((await Deno.stat(from)).isFile) {
    await Deno.mkdir(dirname(to), { recursive: true });
    await Deno.copyFile(from, to);
    return;
  }
  for await (const { name } of Deno.readDir(from)) {
    if (name !== "target" && name !== "__pycache__") {
      await copyTree(join(from, name), join(to, name));
    }
  }
}

Deno.test("an engine is described from what TensorRT-LLM's image holds, and no more", async () => {
  await buildKernels();
  const folder = await Deno.makeTempDir();
  try {
    for (const { from, to } of COPIES) await copyTree(join(ROOT, from), join(folder, to));
    await Deno.symlink(BUILD, join(folder, "build")); // As `mod.ts build` makes it there.
    const path = await testModelPath();
    const gguf = path instanceof URL ? decodeURIComponent(path.pathname) : path;
    await Deno.writeTextFile(join(folder, "config.json"), "{}"); // As trtllm-build leaves one.
    const { code, stderr } = await runProcess(Deno.execPath(), [
      ...["run", "-A", "--cached-only", join(folder, "deploy", "trtllm", "describe.ts")],
      ...["--gguf", gguf, "--head", await writeHead(APPLE_CONFIG), "--engine", folder],
    ], { cwd: folder });
    assert.equal(code, 0, stderr);
    const text = await Deno.readTextFile(join(folder, "redraft.json"));
    const { format, model, tokenizer } = JSON.parse(text);
    assert.equal(format, "redraft-trtllm-1");
    assert.equal(model.architecture, "llama");
    assert.equal(tokenizer.tokens.length, 49152);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
