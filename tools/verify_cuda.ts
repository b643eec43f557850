/** Speculation on and off over the whole default model, on the CUDA engine and a simulated device:
 * `deno task verify:cuda`. Takes minutes: every CUDA thread is run. @module */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildCudaEngineTests } from "./build_cuda_host.ts";
import { ROOT } from "./paths.ts";
import { runProcess } from "./process.ts";
import { pullModel } from "./pull_model.ts";

const HELP = `Compares tokens with speculation on and off on the CUDA engine, over the whole default
model, on a simulated device.

  deno task verify:cuda [--tokens N] [--head FOLDER]

  --tokens N     how many are drawn (default 16): each takes the host seconds
  --head FOLDER  the draft head (default: the shipped one)
`;
const { values } = parseArgs({
  options: {
    help: { type: "boolean", short: "h" },
    tokens: { type: "string", default: "16" },
    head: { type: "string", default: join(ROOT, "drafter/weights/smollm2-135m-instruct") },
  },
});
if (values.help) {
  console.log(HELP);
  Deno.exit(0);
}
const model = await pullModel();
const { wholeModel, driver } = await buildCudaEngineTests();
const { code, stdout } = await runProcess(wholeModel, [model, values.head, values.tokens], {
  env: { REDRAFT_CUDA_DRIVER: driver },
  onLine: (line) => console.error(line),
});
console.log(stdout.trim());
Deno.exit(code);
