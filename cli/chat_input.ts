/** What is typed: lines with a history and editing on a terminal, plain lines from a pipe.
 * @module */
import process from "node:process";
import { createInterface } from "node:readline";

/** Of this program's run alone; it is written nowhere. */
const HISTORY_MAX = 500;
const FENCE = '"""';

export interface Lines {
  /** @returns `undefined` at the end of input. */
  next(prompt: string): Promise<string | undefined>;
  close(): void;
}

async function* pipedLines(): AsyncGenerator<string> {
  let pending = "";
  for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + piece).split(/\r?\n/);
    pending = lines.pop()!;
    yield* lines;
  }
  if (pending !== "") yield pending;
}

export function readPipe(): Lines {
  const lines = pipedLines();
  return {
    next: async () => (await lines.next()).value as string | undefined,
    close: () => {},
  };
}

/** Arrow keys go through what was said, Tab completes commands. Between two calls of `next()` the
 * terminal is as it was, so that Ctrl-C is a signal again.
 * @param commands Completed by Tab. */
export function readTerminal(commands: readonly string[]): Lines {
  let history: string[] = [];
  const completer = (line: string): [string[], string] => [
    line.startsWith("/") ? commands.filter((command) => command.startsWith(line)) : [],
    line,
  ];
  const next = (prompt: string) =>
    new Promise<string | undefined>((resolve) => {
      const reader = createInterface({
        input: process.stdin,
        output: process.stdout,
        terminal: true,
        historySize: HISTORY_MAX,
        removeHistoryDuplicates: true,
        history,
        completer,
      });
      let line: string | undefined;
      reader.on("history", (lines: string[]) => history = [...lines]);
      reader.once("line", (typed: string) => {
        line = typed;
        reader.close();
      });
      reader.once("SIGINT", () => reader.close());
      reader.once("close", () => {
        if (line === undefined) process.stdout.write("\n");
        resolve(line);
      });
      reader.setPrompt(prompt);
      reader.prompt();
    });
  return { next, close: () => process.stdin.pause() };
}

/** One message: a line, or several where a line ends in a backslash or stands between fences.
 * @returns `undefined` at the end of input. */
export async function readMessage(lines: Lines): Promise<string | undefined> {
  const first = await lines.next("> ");
  if (first === undefined) return undefined;
  const parts: string[] = [];
  const start = first.trimStart();
  const isFenced = start.startsWith(FENCE);
  let line: string | undefined = isFenced ? start.slice(FENCE.length) : first;
  const more = () => lines.next("... ");
  while (line !== undefined) {
    const end: number = isFenced ? line.indexOf(FENCE) : -1;
    if (isFenced && end >= 0) {
      parts.push(line.slice(0, end));
      break;
    }
    const goesOn: boolean = !isFenced && line.endsWith("\\");
    parts.push(goesOn ? line.slice(0, -1) : line);
    if (!isFenced && !goesOn) break;
    line = await more();
  }
  return parts.join("\n").trim();
}
