/** The CPU engine compiled for Armv8 and run by an emulator: with the dot-product instruction and
 * on a core that lacks it.
 * @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { zigCompiler } from "../../tools/compiler.ts";
import { COMMON_FLAGS, listSources } from "../../tools/kernel_sources.ts";
import { runOrThrow, runProcess } from "../../tools/process.ts";
import { debianTool } from "../deploy/tools.ts";
import { ROOT } from "../support/source_files.ts";

/** What holds the instruction set's own code against the references, and the engine over it. */
const TESTS = [
  "kernels/common/packed_matrix_test.cc",
  "kernels/common/row_math_test.cc",
  "kernels/engine/engine_test.cc",
  "kernels/tree_attention/tree_attention_test.cc",
];
const CORES = [["with dot products", "max"], ["without", "cortex-a57"]] as const;

Deno.test("Armv8: the engine's tests pass in an emulator", async (t) => {
  const emulator = await debianTool("qemu-aarch64-static", "qemu-user-static");
  if (emulator === null) return;
  const { path: zig } = await zigCompiler();
  const library = (await listSources()).filter(({ kind }) => kind === "library");
  const sources = [...library.map(({ path }) => path), "kernels/common/test_main.cc"];
  const folder = await Deno.makeTempDir();
  try {
    for (const test of TESTS) {
      const binary = join(folder, "test");
      const target = ["c++", "-target", "aarch64-linux-musl", "-mcpu=baseline"];
      await runOrThrow(zig, [...target, "-O2", ...COMMON_FLAGS, ...sources, test, "-o", binary], {
        cwd: ROOT,
      });
      for (const [words, core] of CORES) {
        await t.step(`${test} ${words}`, async () => {
          const { code, stdout, stderr } = await runProcess(emulator, ["-cpu", core, binary]);
          assert.equal(code, 0, stdout + stderr);
          assert.match(stdout, /^[1-9]\d* passed, 0 failed$/m);
        });
      }
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
