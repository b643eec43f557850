/** `redraft completion`: what the Tab key knows, made from the tables that command lines are parsed
 * by. @module */
import {
  bashScript,
  type CompletedCommand,
  type CompletedOption,
  fishScript,
  zshScript,
} from "./completion_scripts.ts";
import { type Command, type Commands, optionsOf, parseOptions, UsageError } from "./options.ts";
import { print } from "./terminal.ts";

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

/** What a command's help says of an option, up to the line's end. */
function wordsOf(help: string, name: string): string {
  const line = new RegExp(`^ +--${name}(?: [^ ]+)* {2,}(\\S.*)$`, "m").exec(help);
  return line?.[1]?.trim() ?? "";
}

async function describeCommand(path: string[], command: Command): Promise<CompletedCommand[]> {
  const { commands, summary, help, words = [] } = command;
  if (commands) {
    const children = await describeAll(commands, path);
    return [{ path, summary, words, options: [] }, ...children];
  }
  const table: Record<string, { type: string }> = { ...await optionsOf(command) };
  table.help ??= { type: "boolean" };
  const options = Object.entries(table).map(([name, { type }]): CompletedOption => ({
    name,
    takesValue: type === "string",
    words: name === "help" ? "say more" : wordsOf(help, name),
  }));
  return [{ path, summary, words, options }];
}

export async function describeAll(
  commands: Commands,
  path: readonly string[] = [],
): Promise<CompletedCommand[]> {
  const described = await Promise.all(
    Object.entries(commands).map(async ([name, load]) =>
      describeCommand([...path, name], (await load()).command)
    ),
  );
  return described.flat();
}

/** @param commands All of `redraft`'s. */
export function completionCommand(commands: Commands): Command {
  const names = Object.keys(SHELLS);
  return {
    summary: "completions for bash, zsh and fish",
    words: names,
    help: `Prints what a shell needs to complete redraft's commands and options.

  redraft completion bash|zsh|fish

They stand for the word "redraft": a link to bin/redraft in a folder of your PATH.

Examples:
  redraft completion bash > ~/.local/share/bash-completion/completions/redraft
  source <(redraft completion bash)                                     # or this, in ~/.bashrc
  source <(redraft completion zsh)                                      # after compinit in ~/.zshrc
  redraft completion fish > ~/.config/fish/completions/redraft.fish
`,
    async run(args) {
      const { positionals } = parseOptions(args, {}, 1);
      const shell = positionals[0] ?? "";
      if (!Object.hasOwn(SHELLS, shell)) {
        throw new UsageError(`Name a shell: ${names.join(", ")}`);
      }
      print(SHELLS[shell as keyof typeof SHELLS](await describeAll(commands)));
      return 0;
    },
  };
}
