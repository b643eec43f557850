/** What only a GPU can show, `deno task test:gpu`: every operation's tests and the engine's own on
 * the device, the conformance suite, and speculation on and off. On a machine without a device it
 * says how many tests did not run, and that is no failure.
 * @module */
import { join } from "node:path";
import { missingDevice } from "../../cli/engine_library.ts";
import { type Command, parseOptions, runCommand } from "../../cli/options.ts";
import { buildCudaKernels } from "../../tools/build_cuda.ts";
import {
  buildCudaLibrary,
  buildDeviceTests,
  deviceTestSources,
} from "../../tools/build_cuda_host.ts";
import { ROOT } from "../../tools/paths.ts";
import { runProcess } from "../../tools/process.ts";
import { pullModel } from "../../tools/pull_model.ts";
import { readSuite, type SuiteKind, type SuiteResult } from "../../tools/test_counts.ts";

const FOLDER = join(ROOT, "tests", "gpu");
const CONFORMANCE = join(FOLDER, "conformance.ts");
const VERIFY_TOKENS = 64;
const log = (line: string) => console.error(line);

async function countIn(path: string, pattern: RegExp): Promise<number> {
  return (await Deno.readTextFile(join(ROOT, path))).match(pattern)?.length ?? 0;
}

/** Tests that a device would run: of C++, of Deno, and the verification. */
async function countTests(): Promise<number> {
  let count = 1;
  for (const source of await deviceTestSources()) count += await countIn(source, /^TEST\(/gm);
  return count + await countIn("tests/gpu/conformance.ts", /^Deno\.test\(/gm);
}

async function run(kind: SuiteKind, program: string, args: string[]): Promise<SuiteResult> {
  log(`\n== ${[program.split("/").at(-1), ...args].join(" ")}`);
  const { code, stdout, stderr } = await runProcess(program, args, {
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    onLine: log,
  });
  return readSuite(kind, code, `${stdout}\n${stderr}`);
}

async function verify(): Promise<SuiteResult> {
  const prompts = join(FOLDER, "prompts.jsonl");
  const { code, stderr } = await runProcess(Deno.execPath(), [
    ...["run", "-A", join(ROOT, "mod.ts"), "verify", "--backend=cuda", `--prompts=${prompts}`],
    `--max-tokens=${VERIFY_TOKENS}`,
  ], { cwd: ROOT, onLine: log });
  const passed = code === 0 ? 1 : 0;
  const problem = passed ? null : stderr.trim().split("\n").at(-1)!;
  return { passed, failed: 1 - passed, skipped: 0, problem, reason: null };
}

async function test(args: string[]): Promise<number> {
  parseOptions(args, {});
  const missing = await missingDevice();
  if (missing !== null) {
    console.log(`no CUDA device: ${await countTests()} tests not run (${missing})`);
    return 0;
  }
  await pullModel();
  const { fatbins } = await buildCudaKernels();
  await buildCudaLibrary(fatbins);
  const { operations, engine } = await buildDeviceTests(fatbins);
  const results = [
    await run("kernels", operations, []),
    await run("kernels", engine, []),
    await run("deno", Deno.execPath(), ["test", "-A", CONFORMANCE]),
    await verify(),
  ];
  let passed = 0, failed = 0;
  for (const result of results) {
    passed += result.passed;
    failed += result.failed;
    if (result.problem) log(result.problem);
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed || !passed ? 1 : 0;
}

const command: Command = {
  summary: "what only a CUDA device can show",
  help: `Builds and runs on a CUDA device what only a device can show; without one it says how
many tests did not run, and ends with status 0.

  deno task test:gpu
`,
  run: test,
};

if (import.meta.main) await runCommand(command, Deno.args);
