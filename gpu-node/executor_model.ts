/** Opens an engine folder of TensorRT-LLM: what trtllm-build wrote, and beside it `redraft.json`,
 * in which deploy/trtllm keeps what a node must know of the model and its tokenizer. @module */

import type { ModelInfo } from "./engine.ts";
import { ExecutorEngine, type ExecutorScheduling } from "./engine_executor.ts";
import { variable } from "./engine_ffi.ts";
import { FfiExecutor } from "./executor_ffi.ts";
import { modelIdOf } from "./model_id.ts";
import { EngineError } from "./native_engine.ts";

const FORMAT = "redraft-trtllm-1";
const DESCRIPTION_BYTES_MAX = 64 << 20;
/** Of TensorRT-LLM's own KV pages, until its first iteration tells. */
const PAGE_TOKENS = 32;

export interface ExecutorEngineOptions extends ExecutorScheduling {
  /** The engine folder. */
  engine: string;
  library?: string;
  modelId?: string;
}

interface Description {
  model: { name: string; architecture: string; digest: string; hidden_size: number };
  head_digest: string;
  tokenizer: { tokens: string[] };
}

/** @throws {EngineError} That names the folder and what it lacks. */
async function readDescription(folder: string): Promise<Description> {
  const path = `${folder}/redraft.json`;
  const refuse = (reason: string) =>
    new EngineError(
      `Cannot use TensorRT-LLM engine ${folder}: redraft.json ${reason}; ` +
        "deploy/trtllm/describe.ts makes it",
      "bad_model",
    );
  let value;
  try {
    if ((await Deno.stat(path)).size > DESCRIPTION_BYTES_MAX) throw refuse("is too large");
    value = JSON.parse(await Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw refuse("is missing");
    if (error instanceof SyntaxError) throw refuse("is no JSON");
    throw error;
  }
  if (value?.format !== FORMAT) throw refuse(`is not of format ${FORMAT}`);
  const { name, architecture, digest, hidden_size } = value.model ?? {};
  for (const [field, text] of Object.entries({ name, architecture, digest })) {
    if (typeof text !== "string") throw refuse(`lacks model.${field}`);
  }
  if (!Number.isInteger(hidden_size)) throw refuse("lacks model.hidden_size");
  if (typeof value.head_digest !== "string") throw refuse("lacks head_digest");
  if (!Array.isArray(value.tokenizer?.tokens)) throw refuse("lacks tokenizer.tokens");
  return value;
}

function builtLibrary(): string {
  const { pathname } = new URL("../build/trtllm/libredraft_trtllm.so", import.meta.url);
  return decodeURIComponent(pathname);
}

/** The shim: as told, else `REDRAFT_TRTLLM_LIBRARY`, else where deploy/trtllm puts it. */
export function executorLibrary(told?: string): string {
  return told ?? variable("REDRAFT_TRTLLM_LIBRARY") ?? builtLibrary();
}

/** @throws {EngineError} In one line: what is missing and what to do. */
export async function openExecutorEngine(options: ExecutorEngineOptions): Promise<ExecutorEngine> {
  const { engine } = options;
  const executor = await FfiExecutor.open({ engine, library: executorLibrary(options.library) });
  try {
    const description = await readDescription(engine);
    const { vocab_size } = executor.info;
    const { length } = description.tokenizer.tokens;
    if (length > vocab_size) {
      throw new EngineError(
        `Cannot use TensorRT-LLM engine ${engine}: its vocabulary is ${vocab_size}, ` +
          `redraft.json has ${length} tokens: it is another model's`,
        "bad_model",
      );
    }
    const model = await describe(description, executor, options);
    return new ExecutorEngine(model, executor, options);
  } catch (error) {
    await executor.close();
    throw error;
  }
}

async function describe(
  { model, head_digest, tokenizer }: Description,
  { info }: FfiExecutor,
  { engine, modelId }: ExecutorEngineOptions,
): Promise<ModelInfo> {
  const tokenizerJson = new TextEncoder().encode(JSON.stringify(tokenizer));
  const digest = await crypto.subtle.digest("SHA-256", tokenizerJson);
  return {
    id: modelId ?? modelIdOf(model.name || engine),
    digest: model.digest,
    tokenizerDigest: new Uint8Array(digest).toHex(),
    tokenizerJson,
    headDigest: head_digest,
    architecture: model.architecture,
    vocabSize: info.vocab_size,
    contextMax: info.context_max,
    hiddenSize: model.hidden_size,
    pageTokens: PAGE_TOKENS,
    slotsMax: info.batch_max,
    pagesMax: Math.ceil(info.batch_max * info.context_max / PAGE_TOKENS),
    rowsMax: info.batch_max * (1 + info.beams * info.draft_length),
    backend: "trtllm",
    backendReason: "asked for",
    isa: `TensorRT-LLM ${info.release}`,
    device: "",
    kvBytesPerToken: 0, // TensorRT-LLM's own.
    weightBytes: 0,
  };
}
