/** `redraft bench gpu`: what steps take on a CUDA device, and the speed-up that follows, of the
 * default model and of synthetic larger ones. Made for a GPU that is lent for ten minutes.
 * @module */
import { missingDevice, prepareEngine, readBackend } from "../cli/engine_library.ts";
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { chooseDraftHead } from "../cli/draft_head.ts";
import { openNative } from "../gpu-node/backend.ts";
import type { FfiEngine } from "../gpu-node/engine_ffi.ts";
import { EngineError } from "../gpu-node/native_engine.ts";
import { Progress } from "../tools/progress.ts";
import { pullModel } from "../tools/pull_model.ts";
import { type Acceptance, keptAcceptance, TREE_SIZES, treeBudget } from "./gpu_acceptance.ts";
import { findShape, headShapeOf } from "./gpu_shapes.ts";
import { pagesNeeded, type StepShape, timeSteps } from "./gpu_steps.ts";
import { writeSynthetic } from "./gpu_synthetic.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { round4 } from "./stats.ts";

interface Settings {
  batches: number[];
  contextTokens: number;
  steps: number;
  acceptance: Acceptance;
  /** On the clock of `performance.now()`: nothing new is begun after it. */
  until: number;
}

export interface TreeFigures {
  step_micros: number;
  rows: number;
  /** Of the default model with its head, measured elsewhere and replayed. */
  replayed_tokens_per_step: number;
  speedup: number;
}

/** By the number of sequences, then by the tree's size. */
export interface ModelFigures {
  weights: "synthetic" | "real";
  weight_mib: number;
  open_seconds: number;
  by_sequences: Record<string, Record<string, TreeFigures>>;
}

/** Rows of one step at most; past them nothing is gained and memory goes. */
const ROWS_MAX = 1024;
const SEQUENCES = [1, 8, 32, 128];

const rowsMax = (most: number) => Math.max(512, Math.min(ROWS_MAX, most * TREE_SIZES.at(-1)!));

/** Trees that so many sequences can have at once. */
const treesOf = (sequences: number, rows: number) =>
  TREE_SIZES.filter((size) => sequences * size <= rows);

/** Measurements of one model that fits, where time does. */
function measurementCount(batches: readonly number[]): number {
  const rows = rowsMax(Math.max(...batches));
  return batches.reduce((sum, sequences) => sum + treesOf(sequences, rows).length, 0);
}

function stepShape(settings: Settings, sequences: number, size: number): StepShape {
  const { contextTokens, steps } = settings;
  return { sequences, contextTokens, steps, budget: treeBudget(size) };
}

/** All trees at all numbers of sequences that fit, until time is up. */
export async function measureModel(
  native: FfiEngine,
  settings: Settings,
  progress: Progress,
): Promise<ModelFigures["by_sequences"]> {
  const bySequences: ModelFigures["by_sequences"] = {};
  for (const sequences of settings.batches) {
    const figures: Record<string, TreeFigures> = {};
    let plain = NaN;
    for (const size of treesOf(sequences, native.info.rows_max)) {
      if (performance.now() > settings.until) break;
      const { micros, rows } = await timeSteps(native, stepShape(settings, sequences, size));
      if (size === 1) plain = micros;
      const gained = settings.acceptance.tokens_per_step[size];
      figures[size] = {
        step_micros: micros,
        rows: round4(rows),
        replayed_tokens_per_step: gained,
        speedup: round4(gained * plain / micros),
      };
      progress.update(`${sequences} sequences, trees of ${size}: ${micros} us`);
    }
    bySequences[sequences] = figures;
  }
  return bySequences;
}

async function measureFiles(
  files: { model: string; head: string },
  weights: ModelFigures["weights"],
  backend: "cpu" | "cuda",
  settings: Settings,
  progress: Progress,
): Promise<{ figures: ModelFigures; device: string }> {
  const most = Math.max(...settings.batches);
  const openedAt = performance.now();
  const { native } = await openNative({
    ...files,
    slotsMax: most,
    pagesMax: most * pagesNeeded(stepShape(settings, most, 1)),
    rowsMax: rowsMax(most),
    contextMax: pagesNeeded(stepShape(settings, 1, 1)) * 16,
  }, backend);
  const open_seconds = round4((performance.now() - openedAt) / 1000);
  try {
    const { info } = native;
    const figures = {
      weights,
      weight_mib: Math.round(info.weight_bytes / 2 ** 20),
      open_seconds,
      by_sequences: await measureModel(native, settings, progress),
    };
    return { figures, device: info.device ?? info.isa ?? info.backend };
  } finally {
    native.close();
  }
}

/** The shapes one after the other, each in a folder that goes with it. */
async function measureAll(
  shapes: string[],
  model: string | undefined,
  backend: "cpu" | "cuda",
  settings: Settings,
): Promise<{ models: Record<string, ModelFigures | { left_out: string }>; device: string }> {
  const models: Record<string, ModelFigures | { left_out: string }> = {};
  let device = "";
  for (const name of shapes) {
    const progress = new Progress(`bench gpu ${name}`);
    if (performance.now() > settings.until) {
      models[name] = { left_out: "time was up" };
      continue;
    }
    const folder = await Deno.makeTempDir({ prefix: "redraft_gpu_" });
    try {
      const files = name === "default" ? await defaultFiles(model) : await synthetic(name, folder);
      const weights = name === "default" ? "real" : "synthetic";
      const measured = await measureFiles(files, weights, backend, settings, progress);
      models[name] = measured.figures;
      device = measured.device;
      progress.done("measured");
    } catch (error) {
      if (!(error instanceof EngineError) || error.status !== "no_memory") throw error;
      models[name] = { left_out: error.message };
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
  return { models, device };

  async function synthetic(name: string, folder: string) {
    const shape = findShape(name);
    const contextMax = pagesNeeded(stepShape(settings, 1, 1)) * 16;
    return await writeSynthetic(folder, shape, headShapeOf(shape), contextMax);
  }
}

async function defaultFiles(source: string | undefined): Promise<{ model: string; head: string }> {
  const model = await pullModel(source);
  const head = await chooseDraftHead(undefined, model);
  if (head === null) throw new UsageError("Option '--model' has no draft head that is shipped");
  return { model, head };
}

function readShapes(text: string): string[] {
  return text.split(",").map((name) => {
    if (name.toLowerCase() === "default") return "default";
    try {
      return findShape(name).name;
    } catch (error) {
      throw new UsageError(`Option '--shapes' ${(error as Error).message}, or default`);
    }
  });
}

async function gpu(args: string[]): Promise<number> {
  const number = (min: number, max: number, fallback: number) => ({ min, max, fallback });
  const { values } = parseOptions(args, {
    shapes: { type: "string", default: "default,7b,13b,34b" },
    model: { type: "string" },
    backend: { type: "string", default: "cuda" },
    "sequences-max": { type: "string" },
    context: { type: "string" },
    steps: { type: "string" },
    minutes: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const shapes = readShapes(String(values.shapes));
  const backend = readBackend(String(values.backend));
  if (backend !== "cpu" && backend !== "cuda") {
    throw new UsageError(`Option '--backend' must be cuda or cpu, not '${backend}'`);
  }
  const most = wholeNumber(values, "sequences-max", number(1, 256, 32));
  const batches = SEQUENCES.filter((count) => count <= most);
  const missing = backend === "cuda" ? await missingDevice() : null;
  if (missing !== null) {
    const count = shapes.length * measurementCount(batches);
    console.log(`no CUDA device: ${count} measurements not run (${missing})`);
    return 0;
  }
  const settings: Settings = {
    batches,
    contextTokens: wholeNumber(values, "context", number(16, 65536, 512)),
    steps: wholeNumber(values, "steps", number(3, 1000, 12)),
    acceptance: await keptAcceptance(),
    until: performance.now() + 60_000 * wholeNumber(values, "minutes", number(1, 600, 10)),
  };
  await prepareEngine(backend);
  const model = values.model as string | undefined;
  const { models, device } = await measureAll(shapes, model, backend, settings);
  const figures = { device, backend, context_tokens: settings.contextTokens, models };
  await publish({ bench: "gpu", args, values, figures });
  return 0;
}

export const command: Command = {
  summary: "step times and speed-up on a CUDA device",
  help: `Measures what a step takes by sequences and by the size of their trees.

  redraft bench gpu [OPTIONS]

  --shapes LIST      of default (the default model) and of synthetic shapes: 7b, llama3-8b, 13b,
                     34b, 70b, .. (default: default,7b,13b,34b); capitals do not matter
  --sequences-max N  1, 8, 32 and 128 at once, up to this (default 32)
  --context N        tokens before the first step (default 512)
  --steps N          measured, the median counts (default 12)
  --minutes N        nothing new is begun after that long (default 10)
  --backend NAME     cuda, or cpu to try it (default cuda)
${OUTPUT_OPTIONS_HELP}

A synthetic model has random weights of its shape, so its times are true and its text is noise; its
tokens per step are those of the default model with its head (bench/gpu_acceptance.json), replayed.
Without a CUDA device it says how many measurements did not run, and its exit status is 0.

Example:
  redraft bench gpu --shapes 7b --minutes 3 --json
`,
  run: gpu,
};
