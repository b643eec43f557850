/** The CUDA engine, host code and kernels, on a simulated device. @module */
import assert from "node:assert/strict";
import { buildCudaEngineTests, buildSimulatedDeviceTests } from "../../tools/build_cuda_host.ts";
import { runProcess } from "../../tools/process.ts";

/** Of the engine's own tests those that a simulated device runs in seconds. */
const TESTS = [
  "CudaEngine.",
  "CudaGraph.",
  "CudaProducts.",
  "Engine.APrefixHit",
  "Engine.LookupsDraft",
  "Engine.DrawsUnderAMask",
  "Engine.DraftsUnderMasks",
  "Engine.RefusesADraft",
  "EngineShapes.LogitsAreTheReferences",
  "Engine.RefusesBadPlans",
  "Abi.",
];

Deno.test("the CUDA engine on a simulated device", async (t) => {
  const { binary, driver, checkedDriver, cublasLt } = await buildCudaEngineTests();
  for (const tests of TESTS) {
    await t.step(`${tests} on one that checks each access`, async () => {
      const env = { REDRAFT_CUDA_DRIVER: checkedDriver, REDRAFT_CUBLASLT: cublasLt };
      const { code, stdout, stderr } = await runProcess(binary, [tests], { env });
      assert.equal(code, 0, stdout + stderr);
      assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m);
    });
  }
  await t.step("without a library its tests fail: none passes by not running", async () => {
    const env = { REDRAFT_CUDA_DRIVER: driver, REDRAFT_CUBLASLT: "/nowhere/libcublasLt.so" };
    const { code, stdout, stderr } = await runProcess(binary, ["CudaProducts.CublasLt"], { env });
    assert.equal(code, 1);
    assert.match(stdout, /^0 passed, 2 failed$/m);
    assert.match(stderr, /nothing to compare: .*name cuBLASLt in REDRAFT_CUBLASLT/);
  });
  await t.step("each operation's tests, launched through the driver as on a GPU", async () => {
    const { operations } = await buildSimulatedDeviceTests();
    const env = { REDRAFT_CUDA_DRIVER: driver };
    const { code, stdout, stderr } = await runProcess(operations, [], { env });
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m);
  });
  const refusals: Array<[string, Record<string, string>, RegExp]> = [
    [
      "no driver",
      { REDRAFT_CUDA_DRIVER: "/nowhere/libcuda.so" },
      /no driver \(\/nowhere.*cpu backend/,
    ],
    ["no device", { REDRAFT_SIM_DEVICES: "0" }, /no device answers; ask for the cpu backend/],
    ["an old driver", { REDRAFT_SIM_VERSION: "12040" }, /of CUDA 12\.4, the kernels need 13\.0/],
    ["an old device", { REDRAFT_SIM_CAPABILITY: "75" }, /compute capability 7\.5, .* need 8\.0/],
    ["little memory", { REDRAFT_SIM_MEMORY_MIB: "1" }, /weights .*KV pages .*lower pages_max/],
  ];
  for (const [name, changes, words] of refusals) {
    await t.step(`${name}: one line that says what to do`, async () => {
      const env = { REDRAFT_CUDA_DRIVER: driver, ...changes };
      const { code, stderr } = await runProcess(binary, ["CudaEngine.GivesLogprobs"], { env });
      assert.equal(code, 1);
      assert.match(stderr, words);
    });
  }
});
