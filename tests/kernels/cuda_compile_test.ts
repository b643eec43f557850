/** nvcc compiles every kernel, and `deno task build:cuda --report` finds no spill, no local memory,
 * no product without matrix instructions, and no byte too many. No GPU and no driver is needed.
 * @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ARCHS, buildCudaKernels } from "../../tools/build_cuda.ts";
import { buildCudaLibrary } from "../../tools/build_cuda_host.ts";
import type { CudaReport } from "../../tools/build_cuda_report.ts";
import { listCudaSources } from "../../tools/cuda_sources.ts";
import { runProcess } from "../../tools/process.ts";
import { ROOT } from "../support/source_files.ts";

Deno.test("nvcc compiles every kernel without a spill", async (t) => {
  const { kernels } = await listCudaSources();
  const { fatbins } = await buildCudaKernels();
  assert.equal(fatbins.length, kernels.length);
  const names = new Set<string>();
  for (const source of kernels) {
    const text = await Deno.readTextFile(join(ROOT, source));
    for (const [, name] of text.matchAll(/^REDRAFT_KERNEL\w*\((\w+),/gm)) names.add(name);
  }
  assert(names.size > 20, "the sources' kernels were found");
  await t.step("build:cuda --report holds every kernel on every architecture", async () => {
    const { code, stdout, stderr } = await runProcess(Deno.execPath(), [
      ...["run", "-A", join(ROOT, "cli", "build_cuda.ts"), "--report", "--json"],
    ]);
    assert.equal(code, 0, stderr);
    const { kernels: lines, areas }: Pick<CudaReport, "kernels" | "areas"> = JSON.parse(stdout);
    for (const arch of ARCHS) {
      const own = lines.filter((line) => line.arch === arch);
      assert.deepEqual(new Set(own.map(({ name }) => name)), names);
      assert(own.every((line) => line.spill_bytes === 0 && line.local === 0));
      assert(own.filter(({ imma, hmma }) => imma + hmma > 0).length >= 8, arch);
    }
    const gated = areas.filter(({ most }) => most === 1.15);
    assert.deepEqual(gated.map(({ area }) => area), ["tree attention", "the draft step"]);
    for (const { area, ratio } of gated) assert(ratio >= 1 && ratio <= 1.15, `${area}: ${ratio}`);
  });
  await t.step(
    "the library with the kernels inside loads without a driver, and says so",
    async () => {
      const library = await buildCudaLibrary(fatbins);
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--no-prompt", "--allow-ffi", "--allow-env", "--allow-read"],
          ...[join(ROOT, "gpu-node", "main.ts"), "--backend=cuda", "--model=none.gguf", "--info"],
        ],
        env: { REDRAFT_LIBRARY: library, REDRAFT_CUDA_DRIVER: "/nowhere/libcuda.so.1" },
      }).output();
      assert.equal(code, 1);
      assert.match(new TextDecoder().decode(stderr), /no driver \(\/nowhere\/libcuda\.so\.1\)/);
    },
  );
});
