/** Everything that runs on nvcc's own PTX, `deno task test:ptx`: the interpreter's tests, those of
 * each operation, and all of the engine's. What of it is quick is in `deno task test`. @module */
import { buildSimulatedDeviceTests } from "./build_cuda_host.ts";
import { buildPtxDriver } from "./build_cuda_ptx.ts";
import { runProcess } from "./process.ts";
import { readSuite } from "./test_counts.ts";

if (Deno.args.length > 0) {
  console.log(`Runs the tests of CUDA kernels and engine on an interpreter of nvcc's own PTX.

  deno task test:ptx`);
  Deno.exit(Deno.args.includes("--help") || Deno.args.includes("-h") ? 0 : 2);
}
const { driver, tests } = await buildPtxDriver();
const { operations, engine } = await buildSimulatedDeviceTests();
let passed = 0, failed = 0;
for (const binary of [tests, operations, engine]) {
  const { code, stdout, stderr } = await runProcess(binary, [], {
    env: { REDRAFT_CUDA_DRIVER: driver },
    onLine: (line) => console.error(line),
  });
  const result = readSuite("kernels", code, `${stdout}\n${stderr}`);
  passed += result.passed;
  failed += result.failed;
}
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(failed || !passed ? 1 : 0);
