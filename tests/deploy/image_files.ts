/** What an image must hold for a program to run in it. @module */
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ROOT } from "../support/source_files.ts";
import { must } from "./scripts.ts";

/** Files of ours that a program loads, relative to the repository. */
export async function filesOf(program: string): Promise<string[]> {
  const text = await must(Deno.execPath(), ["info", "--json", join(ROOT, program)]);
  const { modules } = JSON.parse(text.slice(text.indexOf("{")));
  return modules
    .map(({ specifier }: { specifier: string }) => specifier)
    .filter((specifier: string) => specifier.startsWith("file://"))
    .map((specifier: string) => relative(ROOT, fileURLToPath(specifier)));
}
