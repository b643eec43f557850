/** Command lines: parsed the same way everywhere, refused by name. @module */
import { parseArgs, type ParseArgsConfig } from "node:util";

export type OptionTable = NonNullable<ParseArgsConfig["options"]>;

/** The caller's mistake on the command line: printed without a stack, exit status 2. */
export class UsageError extends TypeError {
  override readonly name = "UsageError";
}

/** One command of `redraft`. */
export interface Command {
  /** One line, for the list of commands. */
  summary: string;
  help: string;
  /** Its first word names a command of its own, which answers `--help` after that word. */
  nested?: boolean;
  /** Those commands, where it has them by name. */
  commands?: Commands;
  /** Words without dashes that it takes. */
  words?: readonly string[];
  /** Of a command that does not call `parseOptions()`. */
  options?: OptionTable;
  /** Returns the exit status. */
  run(args: string[]): Promise<number>;
}

/** Loaded when asked for. */
export type Commands = Readonly<Record<string, () => Promise<{ command: Command }>>>;

export interface ParsedOptions {
  values: Record<string, string | boolean | undefined>;
  positionals: string[];
}

/** The one argument to which `parseOptions()` answers with the table itself, so that completions
 * are made of what is really parsed. */
const LIST_OPTIONS = "\0options";

class OptionsListed {
  constructor(readonly options: OptionTable) {}
}

/** A command's options. Every command parses before it does anything else. */
export async function optionsOf(command: Command): Promise<OptionTable> {
  if (command.options) return command.options;
  try {
    await command.run([LIST_OPTIONS]);
  } catch (thrown) {
    if (thrown instanceof OptionsListed) return thrown.options;
    throw thrown;
  }
  throw new TypeError(`${command.summary}: runs without parsing its options`);
}

/** Parses `args`; `--help` is always known.
 * @param positionalsMax How many words without dashes are taken.
 * @throws {UsageError} If an option is unknown, lacks its value, or there are too many words. */
export function parseOptions(
  args: readonly string[],
  options: OptionTable,
  positionalsMax = 0,
): ParsedOptions {
  if (args[0] === LIST_OPTIONS) throw new OptionsListed(options);
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      options: { ...options, help: { type: "boolean", short: "h" } },
      allowPositionals: true,
    });
  } catch (error) {
    // Node's advice about positionals that look like options helps nobody here.
    throw new UsageError((error as Error).message.split(". To specify")[0]);
  }
  const { positionals } = parsed;
  if (positionals.length > positionalsMax) {
    throw new UsageError(`Unexpected argument ${JSON.stringify(positionals[positionalsMax])}`);
  }
  return { values: parsed.values as ParsedOptions["values"], positionals };
}

/** An option that must be a whole number within bounds; `fallback` where it is not given.
 * @throws {UsageError} Naming the option and its bounds. */
export function wholeNumber(
  values: ParsedOptions["values"],
  name: string,
  bounds: { min: number; max: number; fallback: number },
): number {
  const text = values[name];
  if (text === undefined) return bounds.fallback;
  const number = Number(text);
  if (
    !/^\d+$/.test(String(text)) || number < bounds.min || number > bounds.max
  ) {
    throw new UsageError(
      `Option '--${name}' must be a whole number from ${bounds.min} to ${bounds.max}, not ` +
        JSON.stringify(text),
    );
  }
  return number;
}

/** An option that must be a number within bounds. */
export function realNumber(
  values: ParsedOptions["values"],
  name: string,
  bounds: { min: number; max: number; fallback: number },
): number {
  const text = values[name];
  if (text === undefined) return bounds.fallback;
  const number = Number(text);
  if (text === "" || !(number >= bounds.min && number <= bounds.max)) {
    throw new UsageError(
      `Option '--${name}' must be a number from ${bounds.min} to ${bounds.max}, not ` +
        JSON.stringify(text),
    );
  }
  return number;
}

/** Runs a command and ends the process with its status. */
export async function runCommand(command: Command, args: string[]): Promise<never> {
  let status: number;
  try {
    // Before parsing, so that --help answers beside a mistake too.
    const end = command.nested ? 1 : args.indexOf("--");
    const asked = end < 0 ? args : args.slice(0, end);
    if (asked.includes("--help") || asked.includes("-h")) {
      console.log(command.help.trimEnd());
      status = 0;
    } else {
      status = await command.run(args);
    }
  } catch (error) {
    const usage = error instanceof UsageError;
    if (usage) console.error(`${error.message}\nSee --help.`);
    else console.error(error instanceof Error ? error.message : error);
    if (Deno.env.get("REDRAFT_DEBUG") && error instanceof Error) console.error(error.stack);
    status = usage ? 2 : 1;
  }
  Deno.exit(status);
}
