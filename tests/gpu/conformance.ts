/** The node's engine conformance suite on the CUDA engine: `deno task test:gpu` runs it where a
 * device is. `REDRAFT_TEST_MODEL` and `REDRAFT_TEST_HEAD` name other files than the default ones.
 * @module */
import { join } from "node:path";
import { openStepEngine } from "../../gpu-node/engine_step.ts";
import { testEngine } from "../gpu-node/engine_conformance.ts";
import { ROOT } from "../support/source_files.ts";
import { testModelPath } from "../support/test_model.ts";

Deno.test({
  sanitizeResources: false, // The library stays loaded, as in every node.
  name: "the CUDA engine conforms",
  fn: async (t) => {
    const path = await testModelPath();
    const model = path instanceof URL ? decodeURIComponent(path.pathname) : path;
    const head = Deno.env.get("REDRAFT_TEST_HEAD") ??
      join(ROOT, "drafter", "weights", "smollm2-135m-instruct");
    await testEngine(
      t,
      (bounds, scheduling) =>
        openStepEngine({ backend: "cuda", model, head, ...bounds, scheduling }),
    );
  },
});
