/** The CUDA engine behind the scheduler: the conformance suite on a simulated device, with a
 * synthetic model and head small enough for it. `deno task test:gpu` runs it on a real one.
 * @module */
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

Deno.test({
  name: "the CUDA engine conforms, on a simulated device",
  sanitizeResources: false, // The library stays loaded, as in every node.
  fn: async (t) => {
    const { driver, library } = await buildCudaEngineTests();
    const folder = await Deno.makeTempDir();
    // The driver is asked for by the library's own getenv().
    Deno.env.set("REDRAFT_CUDA_DRIVER", driver);
    try {
      const files = await writeSynthetic(folder, TINY, headShapeOf(TINY), 512);
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
