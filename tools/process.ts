/** Programs that the tools run: found on PATH, run to the end, their words kept for an error.
 * @module */
import { delimiter, join } from "node:path";

export interface ProcessResult {
  code: number;
  stdout: string;
  stderr: string;
}

export interface ProcessOptions {
  cwd?: string;
  env?: Record<string, string>;
  /** Called with each line of standard output and standard error as it comes. */
  onLine?: (line: string) => void;
}

/** A program that we ran ended with another status than 0. Its words are in the message. */
export class ProcessError extends Error {
  override readonly name = "ProcessError";
  constructor(message: string, readonly code: number) {
    super(message);
  }
}

async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine?: (line: string) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "", pending = "";
  for await (const bytes of stream) {
    const piece = decoder.decode(bytes, { stream: true });
    text += piece;
    if (!onLine) continue;
    pending += piece;
    const lines = pending.split(/\r?\n|\r/);
    pending = lines.pop()!;
    lines.forEach(onLine);
  }
  if (onLine && pending) onLine(pending);
  return text;
}

/** Runs a program to its end, whatever its status. */
export async function runProcess(
  program: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<ProcessResult> {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd: options.cwd,
    env: options.env,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [stdout, stderr, status] = await Promise.all([
    readLines(child.stdout as ReadableStream<Uint8Array>, options.onLine),
    readLines(child.stderr as ReadableStream<Uint8Array>, options.onLine),
    child.status,
  ]);
  return { code: status.code, stdout, stderr };
}

/** Runs a program to its end.
 * @throws {ProcessError} If it ends with another status than 0. */
export async function runOrThrow(
  program: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<ProcessResult> {
  const result = await runProcess(program, args, options);
  if (result.code !== 0) {
    const words = (result.stderr.trim() || result.stdout.trim()).slice(-20_000);
    throw new ProcessError(
      `Cannot run ${program} ${args.slice(0, 4).join(" ")}: status ${result.code}\n${words}`,
      result.code,
    );
  }
  return result;
}

/** The full path of a program on PATH, or `null`. */
export async function findProgram(name: string): Promise<string | null> {
  if (name.includes("/")) return await isProgram(name) ? name : null;
  for (const folder of (Deno.env.get("PATH") ?? "").split(delimiter)) {
    if (folder && await isProgram(join(folder, name))) return join(folder, name);
  }
  return null;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    const stat = await Deno.stat(path);
    return stat.isFile && ((stat.mode ?? 0o111) & 0o111) !== 0;
  } catch {
    return false; // Unreadable folders of PATH are as good as absent.
  }
}

/** Runs `work` over `items`, at most `workersMax` at once; the first failure stops new work and is
 * thrown. */
export async function inParallel<T>(
  items: readonly T[],
  workersMax: number,
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async () => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        await work(items[index], index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(
    Array.from({ length: Math.min(workersMax, items.length) }, worker),
  );
  const failure = results.find((result) => result.status === "rejected");
  if (failure) throw failure.reason;
}
