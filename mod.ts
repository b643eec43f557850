/** Redraft's command line: `bin/redraft COMMAND`, or `npx -y deno@2.9.6 task COMMAND`.
 * @module */
import project from "./deno.json" with { type: "json" };
import { type Command, type Commands, runCommand, UsageError } from "./cli/options.ts";

/** Loaded when asked for: `redraft --help` should not wait for a gateway's imports. */
const COMMANDS: Commands = {
  start: () => import("./cli/serve.ts"),
  serve: () => import("./cli/serve.ts"),
  gateway: () => import("./cli/gateway.ts"),
  node: () => import("./cli/node.ts"),
  config: () => import("./cli/config.ts"),
  build: () => import("./cli/build.ts"),
  pull: () => import("./cli/pull.ts"),
  chat: () => import("./cli/chat.ts"),
  top: () => import("./cli/top.ts"),
  bench: () => import("./cli/bench.ts"),
  verify: () => import("./cli/verify.ts"),
  plan: () => import("./cli/plan.ts"),
  train: () => import("./cli/train.ts"),
  completion: async () => {
    const { completionCommand } = await import("./cli/completion.ts");
    return { command: completionCommand(COMMANDS) };
  },
};

async function helpText(): Promise<string> {
  const lines = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, load]) =>
      `  ${name.padEnd(11)} ${(await load()).command.summary}`
    ),
  );
  return `Redraft serves language models with recurrent-drafter speculative decoding.

  redraft COMMAND [OPTIONS]

${lines.join("\n")}

redraft COMMAND --help says more, redraft --version which one this is.
Here, "redraft" is bin/redraft, or a link to it in your PATH.
`;
}

if (import.meta.main) {
  const [name, ...args] = Deno.args;
  if (name === "--version") {
    console.log(`redraft ${project.version}`);
    Deno.exit(0);
  }
  const load = Object.hasOwn(COMMANDS, name ?? "") ? COMMANDS[name] : undefined;
  if (load) await runCommand((await load()).command, args);
  const root: Command = {
    summary: "",
    help: await helpText(),
    run() {
      throw new UsageError(
        name === undefined
          ? `Name a command: ${Object.keys(COMMANDS).join(", ")}`
          : `Unknown command ${JSON.stringify(name)}: ${Object.keys(COMMANDS).join(", ")}`,
      );
    },
  };
  await runCommand(root, Deno.args);
}
