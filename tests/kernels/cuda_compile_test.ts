/** nvcc compiles every kernel, and spills no register: what of `deno task build:cuda --report` is
 * quick enough for every run. No GPU and no driver is needed. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ARCHS, buildCudaKernels } from "../../tools/build_cuda.ts";
import { buildCudaLibrary } from "../../tools/build_cuda_host.ts";
import { listCudaSources } from "../../tools/cuda_sources.ts";
import { ROOT } from "../support/source_files.ts";

Deno.test("nvcc compiles every kernel without a spill", async (t) => {
  const { kernels } = await listCudaSources();
  const { fatbins, resources } = await buildCudaKernels();
  assert.equal(fatbins.length, kernels.length);
  const names = new Set<string>();
  for (const source of kernels) {
    const text = await Deno.readTextFile(join(ROOT, source));
    for (const [, name] of text.matchAll(/^REDRAFT_KERNEL\w*\((\w+),/gm)) names.add(name);
  }
  assert(names.size > 20, "the sources' kernels were found");
  for (const arch of ARCHS) {
    await t.step(arch, () => {
      const own = resources.filter((each) => each.arch === arch);
      assert.deepEqual(new Set(own.map(({ name }) => name)), names);
      const spilling = own.filter(({ spill_bytes }) => spill_bytes > 0);
      assert.deepEqual(spilling.map(({ name, spill_bytes }) => `${name}: ${spill_bytes}`), []);
    });
  }
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
