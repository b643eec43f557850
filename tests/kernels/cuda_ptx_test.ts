/** nvcc's own PTX of the kernels, run by an interpreter: the tests of each operation, and the
 * engine's, on a simulated device that knows nothing else. `deno task test:ptx` runs all there are.
 * @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { buildSimulatedDeviceTests } from "../../tools/build_cuda_host.ts";
import { buildPtxDriver } from "../../tools/build_cuda_ptx.ts";
import { listCudaSources } from "../../tools/cuda_sources.ts";
import { runProcess } from "../../tools/process.ts";
import { ROOT } from "../support/source_files.ts";

/** Names that the sources give their kernels. */
async function kernelNames(): Promise<string[]> {
  const { kernels } = await listCudaSources();
  const texts = await Promise.all(kernels.map((path) => Deno.readTextFile(join(ROOT, path))));
  return texts.flatMap((text) =>
    [...text.matchAll(/^REDRAFT_KERNEL\w*\((\w+),/gm)].map(([, name]) => name)
  ).sort();
}

async function expectPassed(binary: string, tests: string[], env: Record<string, string>) {
  const { code, stdout, stderr } = await runProcess(binary, tests, { env });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m);
}

Deno.test("nvcc's PTX does what the kernels' tests ask", async (t) => {
  const { driver, tests } = await buildPtxDriver();
  const { operations, engine } = await buildSimulatedDeviceTests();
  const log = await Deno.makeTempFile();
  const env = { REDRAFT_CUDA_DRIVER: driver, REDRAFT_PTX_LOG: log };
  try {
    await t.step("the interpreter itself", () => expectPassed(tests, [], {}));
    await t.step("each operation", () => expectPassed(operations, [], env));
    await t.step("the engine", () => expectPassed(engine, ["CudaEngine."], env));
    await t.step("every kernel was run", async () => {
      const run = new Set((await Deno.readTextFile(log)).trim().split("\n"));
      const names = await kernelNames();
      assert(names.length > 20);
      assert.deepEqual([...run].sort(), names);
    });
  } finally {
    await Deno.remove(log);
  }
});

Deno.test("a broken kernel's PTX is caught", async (t) => {
  const source = "kernels/tree_attention/tree_attention.cu";
  const text = await Deno.readTextFile(join(ROOT, source));
  const { operations } = await buildSimulatedDeviceTests();
  const faults: Array<[fault: string, sound: string, broken: string, words: RegExp]> = [
    [
      "a mask off by one",
      "if (!(mask >> packed & 1)) continue;",
      "if (packed > 0 && !(mask >> (packed - 1) & 1)) continue;",
      /^FAILED +TreeAttentionCuda/m,
    ],
    [
      "a page past the last",
      "t.p.pages[t.sequence.page_table + index]",
      "t.p.pages[t.sequence.page_table + index] + (1u << 30)",
      /PTX line \d+: ld\.global.*out of bounds/,
    ],
  ];
  for (const [fault, sound, broken, words] of faults) {
    await t.step(fault, async () => {
      assert.equal(text.split(sound).length, 2, `"${sound}" is not once in ${source}`);
      const { driver } = await buildPtxDriver({ source, text: text.replace(sound, broken) });
      const env = { REDRAFT_CUDA_DRIVER: driver };
      const { code, stdout, stderr } = await runProcess(operations, ["TreeAttentionCuda"], { env });
      assert.equal(code, 1, stdout + stderr);
      assert.match(stdout + stderr, words);
    });
  }
});
