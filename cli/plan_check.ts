/** The planner's prediction of the CPU engine against a measurement, on this machine: steps of a
 * synthetic model give the machine's two rates, and with them the default model's steps are
 * foretold, of another shape, with other numbers of rows. @module */
import { treeBudget } from "../bench/gpu_acceptance.ts";
import { findShape, headShapeOf, type ModelShape } from "../bench/gpu_shapes.ts";
import { pagesNeeded, type StepShape, timeSteps } from "../bench/gpu_steps.ts";
import { writeSynthetic } from "../bench/gpu_synthetic.ts";
import { openNative } from "../gpu-node/backend.ts";
import type { FfiEngine } from "../gpu-node/engine_ffi.ts";
import { buildKernels } from "../tools/build_kernels.ts";
import { Progress } from "../tools/progress.ts";
import { pullModel } from "../tools/pull_model.ts";
import { chooseDraftHead } from "./draft_head.ts";
import { type Machine, machineOf, targetSeconds } from "./plan_roofline.ts";

/** Unlike the default model in every size, and as much out of the cache. */
const CALIBRATION: ModelShape = {
  name: "calibration",
  layers: 16,
  hidden: 768,
  ffn: 2048,
  heads: 12,
  kvHeads: 4,
  headSize: 64,
  vocab: 32000,
  tied: true,
};
const CONTEXT = 64;
/** At most what the CPU's products take in one pass over the weights, as the formula has it. */
const ROWS = [1, 2, 4, 8, 16];
/** Each a chance to be undisturbed; filling the contexts before them takes longer. */
const STEPS = 16;
/** Of both models in turn; the least time counts, for what disturbs a step lengthens it. They
 * end when so many have found nothing quicker. */
export const ROUNDS_MAX = 40;
export const ROUNDS_CALM = 4;
const QUICKER = 0.98;
const TOLERANCE = 0.25;

export interface CheckLine {
  rows: number;
  predicted_ms: number;
  measured_ms: number;
  /** predicted / measured - 1 */
  error: number;
}

const shapeOf = (sequences: number): StepShape => ({
  sequences,
  contextTokens: CONTEXT,
  budget: treeBudget(1),
  steps: STEPS,
});

async function open(files: { model: string; head: string }): Promise<FfiEngine> {
  const slotsMax = Math.max(...ROWS);
  const shape = shapeOf(slotsMax);
  const pagesMax = slotsMax * pagesNeeded(shape);
  const { native } = await openNative(
    { ...files, slotsMax, pagesMax, rowsMax: 128, contextMax: pagesNeeded(shape) * 16 },
    "cpu",
  );
  return native;
}

/** Seconds of a plain step by its rows, the least of all rounds, both models in turn. */
async function measure(engines: FfiEngine[], roundsMax: number): Promise<Map<number, number>[]> {
  const progress = new Progress("plan --check");
  const least = engines.map(() => new Map<number, number>());
  let calm = 0;
  for (let round = 0; round < roundsMax && calm < ROUNDS_CALM; round++) {
    calm++;
    for (const rows of ROWS) {
      for (const [i, engine] of engines.entries()) { // Side by side: one load for both.
        const { leastMicros } = await timeSteps(engine, shapeOf(rows));
        const before = least[i].get(rows) ?? Infinity;
        if (leastMicros / 1e6 < QUICKER * before) calm = 0;
        least[i].set(rows, Math.min(leastMicros / 1e6, before));
      }
    }
    progress.update(`round ${round + 1}, ${roundsMax} at most`);
  }
  progress.done("measured");
  return least;
}

/** Predictions for the default model from all steps of the other one. */
export function compare(
  calibration: ReadonlyMap<number, number>,
  measured: ReadonlyMap<number, number>,
): { machine: Machine; lines: CheckLine[] } {
  const workOf = (model: ModelShape, logitBits: 4 | 8) => ({
    ...{ model, head: headShapeOf(model), bits: 4 as const, logitBits },
    ...{ context: CONTEXT, levels: 0, beamWidth: 0 },
  });
  const machine = machineOf(
    "this machine's CPU",
    workOf(CALIBRATION, 4),
    ROWS.map((rows) => ({ rows, seconds: calibration.get(rows)! })),
  );
  const work = workOf(findShape("smollm2-135m"), 8); // Its file keeps the embedding in 8 bits.
  const lines = ROWS.map((rows) => {
    const predicted = targetSeconds(machine, { ...work, sequences: rows, tree: 1 });
    const seconds = measured.get(rows)!;
    return {
      rows,
      predicted_ms: predicted * 1e3,
      measured_ms: seconds * 1e3,
      error: predicted / seconds - 1,
    };
  });
  return { machine, lines };
}

/** Whether the prediction held, in one line. */
export function verdict(worst: number): string {
  const words = `worst ${(100 * worst).toFixed(1)} %, at most ${100 * TOLERANCE} %`;
  return worst <= TOLERANCE ? `${words}: passed` : `${words}: failed; was the machine idle?`;
}

/** Runs it and prints it. Returns the exit status. */
export async function checkPrediction(json: boolean, roundsMax = ROUNDS_MAX): Promise<number> {
  await buildKernels();
  const model = await pullModel();
  const head = await chooseDraftHead(undefined, model);
  if (head === null) throw new Error(`Cannot check: ${model} has no draft head that is shipped`);
  const folder = await Deno.makeTempDir({ prefix: "redraft_plan_" });
  const engines: FfiEngine[] = [];
  let times: Map<number, number>[];
  try {
    const contextMax = pagesNeeded(shapeOf(1)) * 16;
    const headShape = headShapeOf(CALIBRATION);
    engines.push(await open(await writeSynthetic(folder, CALIBRATION, headShape, contextMax)));
    engines.push(await open({ model, head }));
    times = await measure(engines, roundsMax);
  } finally {
    for (const engine of engines) engine.close();
    await Deno.remove(folder, { recursive: true });
  }
  const { machine, lines } = compare(times[0], times[1]);
  const worst = Math.max(...lines.map(({ error }) => Math.abs(error)));
  if (json) {
    const { bytesPerSecond, opsPerSecond } = machine;
    console.log(JSON.stringify({ bytesPerSecond, opsPerSecond, worst_error: worst, lines }));
  } else {
    const rates = `${(machine.bytesPerSecond / 1e9).toFixed(1)} GB/s, ` +
      `${(machine.opsPerSecond / 1e9).toFixed(0)} G operations/s`;
    console.log(`This machine, by a synthetic model: ${rates}. The default model's steps:`);
    for (const { rows, predicted_ms, measured_ms, error } of lines) {
      console.log(
        `  ${String(rows).padStart(2)} rows: predicted ${predicted_ms.toFixed(2)} ms, measured ` +
          `${measured_ms.toFixed(2)} ms (${error > 0 ? "+" : ""}${(100 * error).toFixed(0)} %)`,
      );
    }
  }
  console.error(verdict(worst)); // Beside the JSON too: a status alone does not say why.
  return worst <= TOLERANCE ? 0 : 1;
}
