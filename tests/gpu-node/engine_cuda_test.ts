/** The CUDA engine behind the scheduler: the conformance suite on a simulated device, with a
 * synthetic model and head small enough for it. `deno task test:gpu` runs it on a real one.
 * @module */
import assert from "node:assert/strict";
import { openStepEngine } from "../../gpu-node/engine_step.ts";
import { headShapeOf } from "../../bench/gpu_shapes.ts";
import { writeSynthetic } from "../../bench/gpu_synthetic.ts";
import { buildCudaEngineTests } from "../../tools/build_cuda_host.ts";
import { testEngine } from "./engine_conformance.ts";

const TINY = {
  name: "tiny",
  layers: 2,
  hidden: 64,
  ffn: 96,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  vocab: 128,
  tied: true,
};

const SMALL = { slotsMax: 2, pagesMax: 8, rowsMax: 64 };

Deno.test({
  name: "the CUDA engine conforms, on a simulated device",
  sanitizeResources: false, // The library stays loaded, as in every node.
  fn: async (t) => {
    const { driver, library, cublasLt } = await buildCudaEngineTests();
    const folder = await Deno.makeTempDir();
    // The driver is asked for by the library's own getenv().
    Deno.env.set("REDRAFT_CUDA_DRIVER", driver);
    try {
      const files = await writeSynthetic(folder, TINY, headShapeOf(TINY), 512);
      await t.step("says how its layers' weights lie, and what multiplies them", async () => {
        Deno.env.set("REDRAFT_CUDA_WEIGHTS", "bf16");
        Deno.env.set("REDRAFT_CUBLASLT", cublasLt);
        try {
          const engine = await openStepEngine({ backend: "cuda", library, ...files, ...SMALL });
          const { layerWeights } = engine.model;
          await engine.close();
          assert.equal(layerWeights, "bf16, cuBLASLt for 5 of 5 shapes of weights");
        } finally {
          Deno.env.delete("REDRAFT_CUDA_WEIGHTS");
          Deno.env.delete("REDRAFT_CUBLASLT");
        }
      });
      await testEngine(
        t,
        (bounds, scheduling) =>
          openStepEngine({ backend: "cuda", library, ...files, ...bounds, scheduling }),
      );
    } finally {
      Deno.env.delete("REDRAFT_CUDA_DRIVER");
      await Deno.remove(folder, { recursive: true });
    }
  },
});
