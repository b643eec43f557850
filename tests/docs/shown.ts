/** Commands that a page shows, for the tests that run them: where the page says something else by
 * now, the test fails; where a test does not ask for a command that names it, the page does.
 * @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { commandsOf, readExamples } from "./examples.ts";

/** The pages whose commands and examples tests run. */
export const PAGES = [
  "README.md",
  "ARCHITECTURE.md",
  "CHANGELOG.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  "docs/README.md",
  "docs/api.md",
  "docs/heads.md",
  "docs/operators.md",
  "docs/security.md",
  "deploy/README.md",
  "drafter/README.md",
  "gateway/README.md",
  "kernels/cuda/README.md",
  "kernels/glue/README.md",
  "kernels/trtllm/README.md",
] as const;

export const readPage = (page: string): Promise<string> => Deno.readTextFile(join(ROOT, page));

/** Lines for a shell in which `npx -y deno@VERSION ..` is the Deno that runs this. */
export function shellOf(lines: string): string {
  return `npx() { shift 2; "${Deno.execPath()}" "$@"; }\nset -euo pipefail\n${lines}`;
}

const TASK = "npx -y deno@2.9.6 task ";

/** In a page, what is replaced by what a test brings. */
type Given = Readonly<Record<string, string>>;

async function expectShown(page: string, line: string): Promise<void> {
  const examples = readExamples(await readPage(page));
  const shown = examples.filter(({ runBy }) => runBy.length > 0).flatMap(commandsOf);
  assert.ok(shown.includes(line), `${page} does not show: ${line}`);
}

function replaced(line: string, given: Given): string {
  for (const [from, to] of Object.entries(given)) {
    assert.ok(line.includes(from), `nothing to replace: ${from} in ${line}`);
    line = line.replaceAll(from, to);
  }
  return line;
}

/** @param line A command line of a block that is marked as run by a test, as it stands there.
 * @returns It as a program for `bash -c`. */
export async function shownScript(page: string, line: string, given: Given = {}): Promise<string> {
  await expectShown(page, line);
  return shellOf(replaced(line, given));
}

/** @param line A command without quotes or pipes.
 * @returns The program and its arguments, a task of deno.json as what it runs. */
export async function shownWords(page: string, line: string, given: Given = {}) {
  await expectShown(page, line);
  assert.doesNotMatch(line, /["'|&$]/, "shownScript() is for this");
  const [name, ...args] = replaced(line.replace(TASK, ""), given).split(" ") as [string];
  if (!line.startsWith(TASK)) return { program: join(ROOT, name), args };
  const { tasks } = JSON.parse(await readPage("deno.json"));
  const [deno, ...own] = String(tasks[name]).split(" ");
  assert.equal(deno, "deno", `no task of one program: ${name}`);
  return { program: Deno.execPath(), args: [...own, ...args] };
}
