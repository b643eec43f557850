/** Speculation on and off over the whole default model, on the CUDA engine and a simulated device:
 * `deno task verify:cuda`. Takes minutes: every CUDA thread is run. @module */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildCudaEngineTests } from "./build_cuda_host.ts";
import { ROOT } from "./paths.ts";
import { runProcess } from "./process.ts";
import { pullModel } from "./pull_model.ts";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "16" },
    head: { type: "string", default: join(ROOT, "drafter/weights/smollm2-135m-instruct") },
  },
});
const model = await pullModel();
const { wholeModel, driver } = await buildCudaEngineTests();
const { code, stdout } = await runProcess(wholeModel, [model, values.head, values.tokens], {
  env: { REDRAFT_CUDA_DRIVER: driver },
  onLine: (line) => console.error(line),
});
console.log(stdout.trim());
Deno.exit(code);
