/** deploy/trtllm, as far as a machine without TensorRT-LLM goes: what is refused, and an engine's
 * description, which a node then reads over the fake executor. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { openExecutorEngine } from "../../gpu-node/executor_model.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { buildFakeExecutor, compileAgainstHeaders } from "../../tools/build_trtllm.ts";
import { findPython } from "../../tools/python_packages.ts";
import { ROOT } from "../support/source_files.ts";
import { testModelPath } from "../support/test_model.ts";

const FOLDER = join(ROOT, "deploy", "trtllm");
const GRU_HEAD = join(ROOT, "drafter", "weights", "smollm2-135m-instruct");
const APPLES = { rnn: true, hidden_size: 64, vocab_size: 99, exit_dim: 128, num_draft_layers: 2 };

async function run(program: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function writeHead(config: unknown): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
  await Deno.writeFile(join(folder, "model.safetensors"), new Uint8Array(8));
  return folder;
}

Deno.test("check_head.py takes Apple's drafters and says why it takes no other", async (t) => {
  const python = await findPython();
  const check = (folder: string) => run(python, [join(FOLDER, "check_head.py"), folder]);
  const ours = { format: "redraft-head-1", cell: "silu", target_vocab_size: 99 };
  const refused: Array<[string, unknown, RegExp]> = [
    ["no recurrent cell", { ...APPLES, rnn: false }, /"rnn" is not true/],
    ["no size", { ...APPLES, exit_dim: "128" }, /"exit_dim" is not a whole number/],
    ["a trimmed vocabulary", { ...ours, draft_vocab_size: 10 }, /drafts from 10 of 99 tokens/],
    ["a learnt first state", { ...ours, draft_vocab_size: 99 }, /starts from init\.weight/],
    ["no object", [1], /is no object/],
  ];
  await t.step("Apple's", async () => {
    assert.deepEqual(await check(await writeHead(APPLES)), { code: 0, stdout: "", stderr: "" });
  });
  await t.step("the shipped GRU head", async () => {
    const { code, stderr } = await check(GRU_HEAD);
    assert.equal(code, 1);
    assert.match(stderr, /^Cannot convert draft head .*its cell is a GRU.*--backend cuda or cpu/);
  });
  for (const [name, config, words] of refused) {
    await t.step(name, async () => {
      const { code, stderr } = await check(await writeHead(config));
      assert.equal(code, 1);
      assert.match(stderr, words);
    });
  }
});

Deno.test("the build scripts name what is wrong before they begin", async (t) => {
  const path = await testModelPath();
  const gguf = path instanceof URL ? decodeURIComponent(path.pathname) : path;
  const model = await writeHead({});
  const given = ["--model", model, "--gguf", gguf, "--out", join(model, "engine")];
  const cases: Array<[string, string[], RegExp]> = [
    ["build_engine.sh", [], /--model is missing/],
    ["build_engine.sh", ["--beams", "x", ...given, "--head", GRU_HEAD], /--beams is 'x'/],
    ["build_engine.sh", ["--nonsense", "1"], /unknown option --nonsense/],
    ["build_engine.sh", [...given, "--head", GRU_HEAD], /its cell is a GRU/],
    ["build_engine.sh", [...given, "--head", await writeHead(APPLES)], /no tensorrt_llm/],
    ["build_shim.sh", [], /no tensorrt_llm: install 1\.2\.1/],
    ["build_shim.sh", ["--include", model, "--libs", model], /has no tensorrt_llm\/executor/],
  ];
  for (const [script, args, words] of cases) {
    await t.step(`${script} ${args.at(0) ?? ""}: ${words.source}`, async () => {
      const { code, stderr } = await run("bash", [join(FOLDER, script), ...args]);
      assert.equal(code, 1);
      assert.match(stderr, words);
    });
  }
});

Deno.test("build_trtllm.ts --headers compiles against a folder of headers", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "redraft headers " }); // Paths may have spaces.
  const [headers, cuda] = [join(folder, "include"), join(folder, "cuda")];
  const executor = join(headers, "tensorrt_llm", "executor");
  const source = join(folder, "shim.cc");
  const main = join(ROOT, "tools", "build_trtllm.ts");
  const tool = (...args: string[]) => run(Deno.execPath(), ["run", "-A", main, ...args]);
  try {
    await Deno.mkdir(executor, { recursive: true });
    await Deno.mkdir(cuda);
    await t.step("what is missing is named", async () => {
      assert.match((await tool()).stderr, /^Option '--headers' is missing/);
      assert.equal((await tool("--heders=x")).code, 2);
      const { code, stderr } = await tool("--headers", headers, "--cuda", cuda);
      assert.equal(code, 1);
      assert.match(stderr, /include has no tensorrt_llm\/executor\/executor\.h$/);
    });
    const types = "using IdType = unsigned long;\n";
    await Deno.writeTextFile(join(executor, "executor.h"), `#pragma once\n#include "types.h"\n`);
    await Deno.writeTextFile(join(executor, "types.h"), `#pragma once\n${types}`);
    await Deno.writeTextFile(join(headers, "unused.h"), "");
    await t.step("a folder without CUDA's headers is named", async () => {
      const { stderr } = await tool("--headers", headers, "--cuda", cuda);
      assert.match(stderr, /cuda has no cuda_fp16\.h$/);
    });
    await Deno.writeTextFile(join(cuda, "cuda_fp16.h"), "");
    await t.step("what was included is told, with its size", async () => {
      const text = "#include <tensorrt_llm/executor/executor.h>\nIdType id() { return 1; }\n";
      await Deno.writeTextFile(source, text);
      const { headers: seen, object, warnings } = await compileAgainstHeaders(
        source,
        headers,
        cuda,
      );
      const names = ["executor.h", "types.h"].map((name) => `tensorrt_llm/executor/${name}`);
      assert.deepEqual(seen.map(({ path }) => path), names);
      assert.equal(seen[1].bytes, `#pragma once\n${types}`.length);
      assert.equal(warnings, "");
      assert((await Deno.stat(join(ROOT, object))).size > 0);
    });
    await t.step("another API than the shim's is an error of the compiler's", async () => {
      const { code, stderr } = await tool("--headers", headers, "--cuda", cuda);
      assert.equal(code, 1);
      assert.match(stderr, /trtllm_executor\.cc.*tensorrt_llm/);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name: "describe.ts gives a node the model's own tokenizer",
  sanitizeResources: false, // The library stays loaded, as in every node.
  fn: async () => {
    const path = await testModelPath();
    const gguf = path instanceof URL ? decodeURIComponent(path.pathname) : path;
    const engine = await Deno.makeTempDir();
    const { code, stderr } = await run(Deno.execPath(), [
      ...["run", "-A", join(FOLDER, "describe.ts"), "--gguf", gguf, "--head", GRU_HEAD],
      ...["--engine", engine],
    ]);
    assert.equal(code, 0, stderr);
    const config = {
      version: "1.2.1",
      pretrained_config: {
        vocab_size: 49152,
        redrafter_num_beams: 4,
        redrafter_draft_len_per_beam: 5,
      },
      build_config: { max_seq_len: 512, max_batch_size: 2 },
    };
    await Deno.writeTextFile(join(engine, "config.json"), JSON.stringify(config));
    const library = await buildFakeExecutor();
    const opened = await openExecutorEngine({ engine, library });
    try {
      assert.equal(opened.model.architecture, "llama");
      const tokenizer = new ModelTokenizer(opened.model.tokenizerJson);
      const tokens = tokenizer.encode("Name three rivers.", { parseSpecial: false });
      assert.equal(tokenizer.decode(tokens, { skipSpecial: true }), "Name three rivers.");
    } finally {
      await opened.close();
      await Deno.remove(engine, { recursive: true });
    }
  },
});
