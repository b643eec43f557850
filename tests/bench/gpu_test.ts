/** What a lent GPU will run, on this machine's CPU: synthetic models, timed steps, both commands'
 * words where no device is. @module */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { headShapeOf, type ModelShape, parameterCount } from "../../bench/gpu_shapes.ts";
import { pagesNeeded, timeSteps } from "../../bench/gpu_steps.ts";
import { keptAcceptance, treeBudget } from "../../bench/gpu_acceptance.ts";
import { writeSynthetic } from "../../bench/gpu_synthetic.ts";
import { openNative } from "../../gpu-node/backend.ts";
import { ROOT } from "../support/source_files.ts";

const TINY: ModelShape = {
  name: "tiny",
  layers: 3,
  hidden: 128,
  ffn: 256,
  heads: 4,
  kvHeads: 2,
  headSize: 32,
  vocab: 512,
  tied: false,
};

Deno.test("the acceptance that plan replays is of the shipped head", async () => {
  const path = join(ROOT, "drafter", "weights", "smollm2-135m-instruct", "model.safetensors");
  const digest = createHash("sha256").update(await Deno.readFile(path)).digest("hex");
  const { head_digest } = await keptAcceptance();
  assert.equal(head_digest, digest, "redraft bench acceptance --save measures anew");
});

Deno.test({
  name: "a synthetic model runs, and its trees have the rows that were asked for",
  sanitizeResources: false, // The library stays loaded, as in every node.
  fn: async () => {
    const folder = await Deno.makeTempDir();
    try {
      const files = await writeSynthetic(folder, TINY, headShapeOf(TINY), 512);
      const shape = { sequences: 2, contextTokens: 40, steps: 4, budget: treeBudget(8) };
      const bounds = { slotsMax: 2, pagesMax: 2 * pagesNeeded(shape), rowsMax: 64, threads: 1 };
      const { native } = await openNative({ ...files, ...bounds }, "cpu");
      try {
        assert.equal(native.info.model.name, "synthetic tiny");
        const least = parameterCount(TINY) * 4 / 8;
        assert(native.info.weight_bytes > least && native.info.weight_bytes < 2 * least);
        const trees = await timeSteps(native, shape);
        assert.equal(trees.rows, 16);
        const plain = await timeSteps(native, { ...shape, budget: treeBudget(1) });
        assert.equal(plain.rows, 2);
        assert(plain.micros > 0 && trees.micros > 0 && plain.contextMicros > 0);
      } finally {
        native.close();
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("without a CUDA device, bench gpu and test:gpu say so and do not fail", async (t) => {
  // Where a device is, they run for minutes: then `deno task test:gpu` is the test.
  if ([...Deno.readDirSync("/dev")].some(({ name }) => name === "nvidiactl")) return;
  const cases: Array<[string, string[], RegExp]> = [
    [
      "bench gpu",
      ["mod.ts", "bench", "gpu"],
      /^no CUDA device: 112 measurements not run \(no NVIDIA/,
    ],
    [
      "bench gpu, less of it",
      ["mod.ts", "bench", "gpu", "--shapes=Default,7B", "--sequences-max=8"],
      /^no CUDA device: 40 measurements not run \(no NVIDIA/,
    ],
    ["test:gpu", ["tests/gpu/main.ts"], /^no CUDA device: (4\d|[5-9]\d) tests not run \(no NVIDIA/],
  ];
  for (const [name, [script, ...args], words] of cases) {
    await t.step(name, async () => {
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", join(ROOT, script), ...args],
        env: { REDRAFT_CUDA_DRIVER: "" },
      }).output();
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      assert.equal(code, 0, text(stderr));
      assert.match(text(stdout).trim(), words);
    });
  }
});
