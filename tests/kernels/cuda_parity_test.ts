/** The CUDA engine's logits against the CPU engine's: a cut of the default model, its first two
 * layers and its whole vocabulary, over nvcc's PTX on a simulated device. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { buildCudaEngineTests } from "../../tools/build_cuda_host.ts";
import { buildPtxDriver } from "../../tools/build_cuda_ptx.ts";
import { pullModel } from "../../tools/pull_model.ts";
import { HEAD, PROMPTS } from "../gpu/verify_simulated.ts";
import { measureParity, parityProblems } from "../support/cuda_parity.ts";
import { writeCut } from "../support/cut_model.ts";
import { ROOT } from "../support/source_files.ts";

/** Faults that leave text looking well: two percent in one place. */
const FAULTS: Array<[fault: string, source: string, sound: string, broken: string]> = [
  [
    "a gate that is a little small",
    "kernels/target_model/decoder_rows.cu",
    "gate / (1 + expf(-gate))",
    "gate / (1.02f + expf(-gate))",
  ],
  [
    "half of each query a little long",
    "kernels/target_model/decoder_rows.cu",
    "at[1] = b * p.query_scale;",
    "at[1] = b * p.query_scale * 1.02f;",
  ],
];

Deno.test("the CUDA engine's logits are the CPU's within what bf16 explains", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const { logitsParity: program } = await buildCudaEngineTests();
    const whole = await pullModel();
    const { model } = await writeCut(folder, { model: whole, head: HEAD, layerCount: 2 });
    const text = PROMPTS.slice(0, 4).join(" ");
    await t.step("sound kernels", async () => {
      const { driver } = await buildPtxDriver();
      const parity = await measureParity({ program, driver, model, text });
      assert(parity.rows >= 24, `${parity.rows} rows`);
      assert.deepEqual(parityProblems(parity), []);
    });
    for (const [fault, source, sound, broken] of FAULTS) {
      await t.step(`${fault} is caught`, async () => {
        const code = await Deno.readTextFile(join(ROOT, source));
        assert.equal(code.split(sound).length, 2, `"${sound}" is not once in ${source}`);
        const { driver } = await buildPtxDriver({ source, text: code.replace(sound, broken) });
        const parity = await measureParity({ program, driver, model, text });
        assert.match(parityProblems(parity).join("\n"), /^logits from (the CPU's|f64's): /m);
      });
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
