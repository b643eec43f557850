/** Runs every suite, `deno task test`: sets up what they need, counts them all, fails when one of
 * them proves nothing. @module */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildCudaTests } from "./build_cuda_host.ts";
import { buildKernels } from "./build_kernels.ts";
import { NoChromiumError, provideChromium } from "./chromium.ts";
import { exists, KERNELS, ROOT } from "./paths.ts";
import { findProgram, runProcess } from "./process.ts";
import { pullModel } from "./pull_model.ts";
import { drafterEnvironment } from "./drafter_packages.ts";
import { readSuite, type SuiteKind, type SuiteResult } from "./test_counts.ts";

const log = (line: string) => console.error(line);

interface Suite {
  name: string;
  run(): Promise<SuiteResult>;
}

/** Runs one program and counts what it says. Its words are shown as they come. */
async function runSuite(
  kind: SuiteKind,
  program: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<SuiteResult> {
  const env = { NO_COLOR: "1", ...options.env };
  const { code, stdout, stderr } = await runProcess(program, args, {
    cwd: options.cwd ?? ROOT,
    env,
    onLine: log,
  });
  return readSuite(kind, code, `${stdout}\n${stderr}`);
}

function skipped(reason: string): SuiteResult {
  return { passed: 0, failed: 0, skipped: 1, problem: null, reason };
}

async function denoSuite(filter: string[]): Promise<SuiteResult> {
  const args = ["test", "-A", "--sanitize-ops", "--sanitize-resources"];
  return await runSuite("deno", Deno.execPath(), [
    ...args,
    ...(filter.length ? filter : ["--ignore=tests/browser", "tests/"]),
  ]);
}

async function browserSuite(): Promise<SuiteResult> {
  try {
    await provideChromium(log);
  } catch (error) {
    if (error instanceof NoChromiumError) return skipped(error.message);
    throw error;
  }
  return await runSuite("deno", Deno.execPath(), ["test", "-A", "tests/browser"]);
}

async function kernelSuites(sanitize: boolean): Promise<Suite[]> {
  const { tests } = await buildKernels({ tests: true, sanitize });
  return tests.map((path) => ({
    name: `kernels: ${path.slice(path.lastIndexOf("/") + 1)}${sanitize ? " (sanitized)" : ""}`,
    run: () => runSuite("kernels", path, []),
  }));
}

async function cudaSuite(): Promise<SuiteResult> {
  return await runSuite("kernels", await buildCudaTests(), []);
}

async function glueSuite(): Promise<SuiteResult> {
  const folder = join(KERNELS, "glue");
  if (!await exists(join(folder, "Cargo.toml"))) return skipped("kernels/glue is not there");
  const cargo = await findProgram("cargo");
  if (!cargo) return skipped("no cargo on PATH; the committed wasm package is tested by tests/");
  return await runSuite("cargo", cargo, ["test", "--locked"], { cwd: folder });
}

async function drafterSuite(): Promise<SuiteResult> {
  if (!await exists(join(ROOT, "drafter", "tests"))) return skipped("drafter/tests is not there");
  const { python, env } = await drafterEnvironment(["pytest"]);
  const args = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"];
  return await runSuite("pytest", python, args, { cwd: join(ROOT, "drafter"), env });
}

function describe(name: string, result: SuiteResult): string {
  const counts = `${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`;
  return `${name}: ${counts}` + (result.problem ? `; ${result.problem}` : "") +
    (result.reason ? ` (${result.reason})` : "");
}

async function attempt(suite: Suite): Promise<SuiteResult> {
  log(`\n== ${suite.name}`);
  try {
    return await suite.run();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    log(problem);
    return { passed: 0, failed: 1, skipped: 0, problem: problem.split("\n")[0], reason: null };
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: "string", multiple: true },
      sanitize: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const only = values.only ?? (positionals.length ? ["deno"] : undefined);
  const wanted = (suite: string) => !only || only.includes(suite);
  log(`model: ${await pullModel()}`);
  const suites: Suite[] = [];
  if (wanted("kernels")) suites.push(...await kernelSuites(values.sanitize === true));
  else await buildKernels();
  if (wanted("cuda")) suites.push({ name: "cuda kernels, on the host", run: cudaSuite });
  if (wanted("glue")) suites.push({ name: "kernels/glue", run: glueSuite });
  if (wanted("drafter")) suites.push({ name: "drafter", run: drafterSuite });
  if (wanted("deno")) suites.push({ name: "deno", run: () => denoSuite(positionals) });
  if (wanted("browser")) suites.push({ name: "browser", run: browserSuite });
  const lines: string[] = [];
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const suite of suites) {
    const result = await attempt(suite);
    lines.push(describe(suite.name, result));
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
  }
  console.log(`\n${lines.join("\n")}`);
  const tail = total.skipped ? `, ${total.skipped} skipped` : "";
  console.log(`${total.passed} passed, ${total.failed} failed${tail}`);
  return total.failed || !total.passed ? 1 : 0;
}

const HELP = `Sets up and runs every suite; the last line counts them all.

  deno task test [--only SUITE] [--sanitize] [FILE..]

  --only SUITE  kernels, cuda, glue, drafter, deno or browser; may be given more than once
  --sanitize    C++ tests with address and undefined-behaviour sanitizers
  FILE          files or folders of the deno suite, and no other suite

As root on Debian it installs the programs that tests run and the machine lacks (apt-get).

Examples:
  deno task test --only kernels --sanitize
  deno task test tests/gateway
`;

if (import.meta.main) Deno.exit(await main());
