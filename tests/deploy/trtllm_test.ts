/** deploy/trtllm, as far as a machine without TensorRT-LLM goes: what is refused, and an engine's
 * description, which a node then reads over the fake executor. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { openExecutorEngine } from "../../gpu-node/executor_model.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { buildFakeExecutor, compileAgainstHeaders } from "../../tools/build_trtllm.ts";
import { findPython } from "../../tools/python_packages.ts";
import { APPLE_CONFIG, safetensors, writeHead } from "../support/apple_head.ts";
import { ROOT } from "../support/source_files.ts";
import { testModelPath } from "../support/test_model.ts";

const FOLDER = join(ROOT, "deploy", "trtllm");
/** More than bash compares. */
const HUGE = "9".repeat(19);
const GRU_HEAD = join(ROOT, "drafter", "weights", "smollm2-135m-instruct");
async function run(program: string, args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("check_head.py takes Apple's drafters and says why it takes no other", async (t) => {
  const python = await findPython();
  const check = (folder: string) => run(python, [join(FOLDER, "check_head.py"), folder]);
  const ours = { format: "redraft-head-1", cell: "silu", target_vocab_size: 99 };
  const refused: Array<[string, unknown, RegExp]> = [
    ["no recurrent cell", { ...APPLE_CONFIG, rnn: false }, /"rnn" is not true/],
    ["no size", { ...APPLE_CONFIG, exit_dim: "128" }, /"exit_dim" is not a whole number/],
    ["a negative size", { ...APPLE_CONFIG, hidden_size: -5 }, /"hidden_size" is not .* from 1$/],
    ["an empty vocabulary", { ...APPLE_CONFIG, vocab_size: 0 }, /"vocab_size" is not .* from 1$/],
    ["less than no layer", { ...APPLE_CONFIG, num_draft_layers: -1 }, /"num_draft_layers" is not/],
    ["a trimmed vocabulary", { ...ours, draft_vocab_size: 10 }, /drafts from 10 of 99 tokens/],
    ["a learnt first state", { ...ours, draft_vocab_size: 99 }, /starts from init\.weight/],
    ["no object", [1], /is no object/],
  ];
  await t.step("Apple's", async () => {
    assert.deepEqual(await check(await writeHead(APPLE_CONFIG)), {
      code: 0,
      stdout: "",
      stderr: "",
    });
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

Deno.test("check_head.py reads the weights' header, and fails in one line", async (t) => {
  const python = await findPython();
  const cut = { a: { dtype: "F16", shape: [4], data_offsets: [0, 8] } };
  const weights: Array<[string, Uint8Array<ArrayBuffer>, RegExp]> = [
    ["garbage", new Uint8Array(64).fill(0xff), /no safetensors file: its header is not whole$/],
    ["nothing", new Uint8Array(0), /its header is not whole$/],
    ["no JSON", new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 65, 65]), /its header is no JSON$/],
    ["no object", safetensors([1], 4), /its header is no object$/],
    ["no tensor", safetensors({ __metadata__: {} }, 4), /holds no tensor$/],
    ["no place", safetensors({ a: { shape: [2] } }, 4), /has no data_offsets$/],
    ["cut short", safetensors(cut, 4), /is cut short/],
  ];
  const refused = async (folder: string, words: RegExp) => {
    const { code, stderr } = await run(python, [join(FOLDER, "check_head.py"), folder]);
    assert.equal(code, 1);
    assert.match(stderr, words);
    assert.equal(stderr.split("\n").length, 1, stderr);
  };
  for (const [name, bytes, words] of weights) {
    await t.step(name, async () => await refused(await writeHead(APPLE_CONFIG, bytes), words));
  }
  await t.step("a file in the folder's place", async () => {
    await refused(join(await writeHead(APPLE_CONFIG), "config.json"), /it is no folder$/);
  });
  await t.step("a folder in a file's place", async () => {
    const folder = await writeHead(APPLE_CONFIG);
    for (const name of ["model.safetensors", "config.json"]) {
      await Deno.remove(join(folder, name));
      await Deno.mkdir(join(folder, name));
      await refused(folder, new RegExp(`${name} cannot be read: Is a directory$`));
    }
  });
});

Deno.test("the build scripts name what is wrong before they begin", async (t) => {
  const path = await testModelPath();
  const gguf = path instanceof URL ? decodeURIComponent(path.pathname) : path;
  const model = await writeHead({});
  const given = ["--model", model, "--gguf", gguf, "--out", join(model, "engine")];
  const cases: Array<[string, string[], RegExp]> = [
    ["build_engine.sh", [], /--model is missing/],
    ["build_engine.sh", ["--beams", "x", ...given, "--head", GRU_HEAD], /--beams is 'x'/],
    ["build_engine.sh", ["--beams", HUGE, ...given, "--head", GRU_HEAD], /--beams is 9{19}: a/],
    ["build_engine.sh", ["--nonsense", "1"], /unknown option --nonsense/],
    ["build_engine.sh", [...given, "--head", GRU_HEAD], /its cell is a GRU/],
    ["build_engine.sh", [...given, "--head", await writeHead(APPLE_CONFIG)], /no tensorrt_llm/],
    ["build_shim.sh", [], /no tensorrt_llm: install 1\.2\.1/],
    ["build_shim.sh", ["--include"], /^build_shim: --include lacks its folder$/],
    ["build_shim.sh", ["--libs", ""], /^build_shim: --libs lacks its folder$/],
    ["build_shim.sh", ["--include", model, "--libs", model], /has no tensorrt_llm\/executor/],
  ];
  for (const [script, args, words] of cases) {
    await t.step(`${script} ${args.at(0) ?? ""}: ${words.source}`, async () => {
      const { code, stderr } = await run("bash", [join(FOLDER, script), ...args]);
      assert.equal(code, 1);
      assert.match(stderr, words);
      assert.equal(stderr.split("\n").length, 1, stderr);
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
    await t.step("without TensorRT-LLM's headers CUDA's are not fetched", async () => {
      const { code, stderr } = await tool("--headers", "/nonexistent");
      assert.equal(code, 1);
      assert.match(stderr, /^Cannot compile .*: \/nonexistent has no .*executor\.h$/);
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
    const describe = (head: string, to = engine) =>
      run(Deno.execPath(), [
        ...["run", "-A", join(FOLDER, "describe.ts"), "--gguf", gguf, "--head", head],
        ...["--engine", to],
      ]);
    const none = join(engine, "none");
    assert.match((await describe(GRU_HEAD, none)).stderr, /none, which has no config\.json/);
    await assert.rejects(Deno.stat(none), Deno.errors.NotFound); // A wrong folder is not made.
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
    assert.match((await describe(GRU_HEAD)).stderr, /'--head' is refused: .*its cell is a GRU/);
    await assert.rejects(Deno.stat(join(engine, "redraft.json")), Deno.errors.NotFound);
    const { code, stderr } = await describe(await writeHead(APPLE_CONFIG));
    assert.equal(code, 0, stderr);
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
