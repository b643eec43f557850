/** How many tests a suite passed, read from what its runner prints. Pure. @module */

export type SuiteKind = "deno" | "kernels" | "cargo" | "pytest";

export interface SuiteResult {
  passed: number;
  failed: number;
  skipped: number;
  /** Why it counts as failed although no test did. */
  problem: string | null;
  /** Why it was skipped. */
  reason: string | null;
}

/** Whole summaries; a runner that runs several binaries prints several. */
const SUMMARIES: Readonly<Record<SuiteKind, RegExp>> = {
  deno: /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(.*)$/gm,
  kernels: /^(\d+) passed, (\d+) failed(.*)$/gm,
  cargo: /^test result: \w+\. (\d+) passed; (\d+) failed;(.*)$/gm,
  pytest: /^=*\s*((?:\d+ [a-z]+(?:, )?)+) in [\d.]+s.*$/gm,
};

function namedCount(text: string, name: string): number {
  return Number(new RegExp(`(\\d+) ${name}`).exec(text)?.[1] ?? 0);
}

/** Counts a suite's tests. One that crashed, or that ran nothing, counts as one failure more.
 * @param code Its exit status.
 * @param output Standard output and standard error. */
export function readSuite(kind: SuiteKind, code: number, output: string): SuiteResult {
  const result: SuiteResult = { passed: 0, failed: 0, skipped: 0, problem: null, reason: null };
  // deno-lint-ignore no-control-regex
  const plain = output.replace(/\x1b\[[0-9;]*m/g, "");
  for (const match of plain.matchAll(SUMMARIES[kind])) {
    if (kind === "pytest") {
      result.passed += namedCount(match[1], "passed");
      result.failed += namedCount(match[1], "failed") + namedCount(match[1], "errors?");
      result.skipped += namedCount(match[1], "skipped");
    } else {
      result.passed += Number(match[1]);
      result.failed += Number(match[2]);
      result.skipped += namedCount(match[3], "ignored");
    }
  }
  if (code !== 0 && result.failed === 0) result.problem = `ended with status ${code}`;
  else if (result.passed + result.failed === 0) result.problem = "ran no test";
  if (result.problem) ++result.failed;
  return result;
}
