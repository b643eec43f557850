/** The scripts of deploy/, as a test runs them. @module */
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";

export interface Ran {
  code: number;
  text: string;
}

/** Runs a program to its end; what it writes is one text. */
export async function ran(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
  msMax?: number,
): Promise<Ran> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    ...(msMax === undefined ? {} : { signal: AbortSignal.timeout(msMax) }),
    args: [...args],
    env: { DENO: Deno.execPath(), ...env },
    cwd: ROOT,
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

/** @throws {Error} With what it wrote, if it fails. */
export async function must(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<string> {
  const { code, text } = await ran(program, args, env);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")}: status ${code}\n${text}`);
  return text;
}

export const script = (name: string) => join(ROOT, "deploy", name);
