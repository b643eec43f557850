/** Everything that runs on nvcc's own PTX, `deno task test:ptx`: the interpreter's tests, those of
 * each operation, and all of the engine's. What of it is quick is in `deno task test`. @module */
import { type Command, parseOptions, runCommand } from "../../cli/options.ts";
import { buildCudaEngineTests, buildSimulatedDeviceTests } from "../../tools/build_cuda_host.ts";
import { buildPtxDriver } from "../../tools/build_cuda_ptx.ts";
import { runProcess } from "../../tools/process.ts";
import { readSuite } from "../../tools/test_counts.ts";

async function test(args: string[]): Promise<number> {
  parseOptions(args, {});
  const { driver, tests } = await buildPtxDriver();
  const { operations, engine } = await buildSimulatedDeviceTests();
  const { cublasLt } = await buildCudaEngineTests();
  let passed = 0, failed = 0;
  for (const binary of [tests, operations, engine]) {
    const { code, stdout, stderr } = await runProcess(binary, [], {
      env: { REDRAFT_CUDA_DRIVER: driver, REDRAFT_CUBLASLT: cublasLt },
      onLine: (line) => console.error(line),
    });
    const result = readSuite("kernels", code, `${stdout}\n${stderr}`);
    passed += result.passed;
    failed += result.failed;
  }
  console.log(`${passed} passed, ${failed} failed`);
  return failed || !passed ? 1 : 0;
}

const command: Command = {
  summary: "the CUDA kernels' and engine's tests on nvcc's PTX",
  help: `Runs the tests of CUDA kernels and engine on an interpreter of nvcc's own PTX.

  deno task test:ptx
`,
  run: test,
};

if (import.meta.main) await runCommand(command, Deno.args);
