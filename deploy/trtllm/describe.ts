/** Writes `redraft.json` beside an engine of TensorRT-LLM: the model's name and tokenizer, as a
 * node of any backend tells them. Runs without a GPU. @module */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, parseOptions, runCommand, UsageError } from "../../cli/options.ts";
import { openNative } from "../../gpu-node/backend.ts";
import { buildKernels } from "../../tools/build_kernels.ts";
import { statOrNull, writeAtomic } from "../../tools/paths.ts";
import { findProgram, runProcess } from "../../tools/process.ts";

const WEIGHTS = ["model.safetensors", "llm_drafter.safetensors"];

/** Of the head's weights, as a node names a head.
 * @throws {UsageError} If the folder has none. */
async function headDigest(folder: string): Promise<string> {
  for (const name of WEIGHTS) {
    try {
      const bytes = await Deno.readFile(join(folder, name));
      return createHash("sha256").update(bytes).digest("hex");
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new UsageError(`Option '--head' names ${folder}, which has no ${WEIGHTS[0]}`);
}

/** The same rule as before an engine is built: TensorRT-LLM has no graph for any other head, so one
 * that is named here was not built in.
 * @throws {UsageError} With the rule's reason. */
async function expectHead(folder: string): Promise<void> {
  const script = fileURLToPath(new URL("check_head.py", import.meta.url));
  const python = await findProgram("python3");
  if (python === null) throw new Error("Cannot check the head: no python3 on PATH");
  const { code, stderr } = await runProcess(python, [script, folder]);
  if (code === 0) return;
  throw new UsageError(`Option '--head' is refused: ${stderr.trim().split("\n").at(-1)}`);
}

/** @throws {UsageError} If trtllm-build wrote nothing there. */
async function expectEngine(folder: string): Promise<void> {
  if ((await statOrNull(join(folder, "config.json")))?.isFile) return;
  throw new UsageError(
    `Option '--engine' names ${folder}, which has no config.json: trtllm-build writes one`,
  );
}

const command: Command = {
  summary: "describe an engine of TensorRT-LLM to a node",
  help: `Writes redraft.json into an engine's folder.

  deno run -A deploy/trtllm/describe.ts --gguf FILE --head FOLDER --engine FOLDER

  --gguf FILE      the model that the engine was built from, as GGUF
  --head FOLDER    the draft head that was built in
  --engine FOLDER  what trtllm-build wrote
`,
  async run(args) {
    const text = { type: "string" } as const;
    const { values } = parseOptions(args, { gguf: text, head: text, engine: text });
    for (const name of ["gguf", "head", "engine"]) {
      if (values[name] === undefined) throw new UsageError(`Option '--${name}' is missing`);
    }
    await expectEngine(String(values.engine));
    await expectHead(String(values.head));
    const head_digest = await headDigest(String(values.head));
    await buildKernels();
    const { native } = await openNative(
      { model: String(values.gguf), slotsMax: 1, pagesMax: 1, rowsMax: 64 },
      "cpu",
    );
    const { name, architecture, digest, hidden_size } = native.info.model;
    const tokenizer = JSON.parse(new TextDecoder().decode(native.tokenizerJson));
    native.close();
    const model = { name, architecture, digest, hidden_size };
    const description = { format: "redraft-trtllm-1", model, head_digest, tokenizer };
    await writeAtomic(join(String(values.engine), "redraft.json"), JSON.stringify(description));
    return 0;
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
