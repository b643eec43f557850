/** `redraft bench`: what reproduces each figure of the README. @module */
import { type Command, runCommand, UsageError } from "../cli/options.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ command: Command }>>> = {
  engine: () => import("./engine.ts"),
  logits: () => import("./logits.ts"),
  spec: () => import("./spec.ts"),
  serve: () => import("./serve.ts"),
  gateway: () => import("./gateway.ts"),
  acceptance: () => import("./gpu_acceptance.ts"),
  gpu: () => import("./gpu.ts"),
  report: () => import("./report.ts"),
};

export const benchCommand: Command = {
  summary: "measure the engine, its logits, speculation, serving or the gateway",
  nested: true,
  commands: BENCHES,
  help: `Measures one thing; each starts what it needs and stops it.

  redraft bench NAME [OPTIONS]

  engine    decoding and prompt speed, batches, the cost of a step
  logits    the engine's logits against a float64 pass over the same model
  spec      tokens per step and speed-up over plain decoding
  serve     tokens per second of many sequences, speculation on and off
  gateway   what the gateway costs and carries
  acceptance  tokens per step by the size of the tree
  gpu       step times on a CUDA device, of the default model and of synthetic larger ones
  report    writes the README's figures and charts from what the others kept with --save

redraft bench NAME --help says more.
`,
  async run([name, ...args]) {
    const load = Object.hasOwn(BENCHES, name ?? "") ? BENCHES[name] : undefined;
    if (!load) {
      throw new UsageError(
        `${name === undefined ? "Name a bench" : `Unknown bench ${JSON.stringify(name)}`}: ` +
          Object.keys(BENCHES).join(", "),
      );
    }
    return await runCommand((await load()).command, args);
  },
};
