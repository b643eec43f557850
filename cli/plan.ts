/** `redraft plan`: what a model should do on a GPU that nobody has yet. @module */
import { keptAcceptance, TREE_SIZES, treeBudget } from "../bench/gpu_acceptance.ts";
import {
  findShape,
  headShapeOf,
  type ModelShape,
  parameterCount,
  SHAPES,
} from "../bench/gpu_shapes.ts";
import { type Command, parseOptions, realNumber, UsageError, wholeNumber } from "./options.ts";
import { checkPrediction, ROUNDS_CALM, ROUNDS_MAX } from "./plan_check.ts";
import {
  bytesPerWeight,
  findGpu,
  GPU_NAMES,
  type Machine,
  sequencesThatFit,
  stepSeconds,
  type Workload,
} from "./plan_roofline.ts";

/** Asked about, as far as they fit. */
const SEQUENCES = [1, 8, 32, 128];

export interface PlanLine {
  sequences: number;
  /** Packed tokens; 1: nothing is drafted. */
  tree: number;
  step_ms: number;
  tokens_per_second: number;
  speedup: number;
  /** Hours of the GPU for a million tokens. */
  gpu_hours_per_million: number;
  /** Where a price was given. */
  cost_per_million?: number;
}

/** Tokens of one step by the tree's size. */
export type TokensPerStep = Readonly<Record<string, number>>;

/** The tree that gives the most tokens a second.
 * @param price Of an hour, or NaN. */
export function planLine(
  machine: Machine,
  work: Omit<Workload, "tree" | "levels" | "beamWidth">,
  gained: TokensPerStep,
  price: number,
): PlanLine {
  const rate = (tree: number) => {
    const { beamWidth, beamLength } = treeBudget(tree);
    const whole = { ...work, tree, levels: Math.max(0, beamLength - 1), beamWidth };
    const time = stepSeconds(machine, whole);
    return { tree, time, tokens: work.sequences * gained[tree] / time };
  };
  const rates = TREE_SIZES.filter((tree) => gained[tree] !== undefined).map(rate);
  const best = rates.reduce((a, b) => b.tokens > a.tokens ? b : a);
  const hours = 1e6 / best.tokens / 3600;
  return {
    sequences: work.sequences,
    tree: best.tree,
    step_ms: best.time * 1e3,
    tokens_per_second: best.tokens,
    speedup: best.tokens / rate(1).tokens,
    gpu_hours_per_million: hours,
    ...(Number.isNaN(price) ? {} : { cost_per_million: hours * price }),
  };
}

function table(lines: PlanLine[]): string {
  const head = ["sequences", "tree", "step ms", "tokens/s", "speed-up", "GPU h/M tokens", "cost/M"];
  const rows = lines.map((line) => [
    `${line.sequences}`,
    `${line.tree}`,
    line.step_ms.toFixed(2),
    line.tokens_per_second.toFixed(0),
    `${line.speedup.toFixed(2)}x`,
    line.gpu_hours_per_million.toFixed(3),
    line.cost_per_million === undefined ? "-" : line.cost_per_million.toFixed(2),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  return [head, ...rows].map((row) => row.map((cell, i) => cell.padStart(widths[i])).join("  "))
    .join("\n");
}

/** Turns what a lookup throws into the option's fault. */
function named<T>(option: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw new UsageError(`Option '--${option}' ${(error as Error).message}`);
  }
}

function describe(model: ModelShape, bits: 4 | 8, machine: Machine, fit: number, context: number) {
  const gb = weightBytes(model, bits) / 1e9;
  return `${model.name} in ${bits} bits (${gb.toFixed(1)} GB) on ${machine.name}: ` +
    (fit === 1
      ? `1 sequence of ${context} tokens fits`
      : `${fit} sequences of ${context} tokens fit`);
}

const weightBytes = (model: ModelShape, bits: 4 | 8) =>
  parameterCount(model) * bytesPerWeight(bits);

/** What goes with `--check`. */
const CHECKS = ["check", "json", "rounds"];

async function plan(args: string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseOptions(args, {
    ...{ model: text, gpu: text, context: text, bits: text, price: text, efficiency: text },
    ...{ "launch-micros": text, json: { type: "boolean" }, check: { type: "boolean" } },
    rounds: text,
  });
  if (values.check) {
    const other = Object.keys(values).find((name) => !CHECKS.includes(name));
    if (other) throw new UsageError(`Option '--${other}' does not go with --check`);
    const rounds = wholeNumber(values, "rounds", { min: 1, max: ROUNDS_MAX, fallback: ROUNDS_MAX });
    return await checkPrediction(values.json === true, rounds);
  }
  if (values.rounds !== undefined) throw new UsageError("Option '--rounds' goes with --check");
  for (const name of ["model", "gpu"]) {
    if (values[name] === undefined) throw new UsageError(`Option '--${name}' is missing`);
  }
  const bits = wholeNumber(values, "bits", { min: 4, max: 8, fallback: 4 });
  if (bits !== 4 && bits !== 8) throw new UsageError("Option '--bits' must be 4 or 8");
  const context = wholeNumber(values, "context", { min: 1, max: 1 << 20, fallback: 2048 });
  const efficiency = realNumber(values, "efficiency", { min: 0.01, max: 1, fallback: 1 });
  const micros = realNumber(values, "launch-micros", { min: 0, max: 100, fallback: 2 });
  const price = realNumber(values, "price", { min: 0, max: 1e6, fallback: NaN });
  const model = named("model", () => findShape(String(values.model)));
  const machine = named("gpu", () => findGpu(String(values.gpu), efficiency, micros));
  const fit = sequencesThatFit(machine, { model, bits, context });
  if (fit === 0) {
    const gb = (weightBytes(model, bits) / 1e9).toFixed(1);
    throw new Error(
      `Cannot plan: ${model.name} in ${bits} bits takes ${gb} GB and one sequence of ${context} ` +
        `tokens; ${machine.name} has ${machine.memoryBytes / 1e9} GB`,
    );
  }
  const { tokens_per_step: gained } = await keptAcceptance();
  const counts = [...new Set([...SEQUENCES.filter((count) => count < fit), Math.min(fit, 1024)])];
  const work = { model, head: headShapeOf(model), bits, context } as const;
  const lines = counts.map((sequences) => planLine(machine, { ...work, sequences }, gained, price));
  if (values.json) {
    console.log(
      JSON.stringify({ model: model.name, gpu: machine.name, bits, context, fit, lines }),
    );
    return 0;
  }
  console.log(`${describe(model, bits, machine, fit, context)}\n\n${table(lines)}\n
A roofline: the data sheet's figures times ${efficiency}, ${micros} us between kernels, the default
model's acceptance (bench/gpu_acceptance.json). Nothing of it was measured on a GPU.`);
  return 0;
}

export const command: Command = {
  summary: "what a model should do on a GPU, before there is one",
  help: `Predicts step time, best tree, tokens a second and what fits, from a roofline.

  redraft plan --model SHAPE --gpu NAME [--context N] [OPTIONS]

  --model SHAPE      ${SHAPES.map(({ name }) => name).join(", ")}
  --gpu NAME         ${GPU_NAMES.join(", ")};
                     capitals do not matter in either
  --context N        tokens of each sequence (default 2048)
  --bits N           of the weights, 4 or 8 (default 4)
  --price P          of an hour, in any currency: the cost of a million tokens
  --efficiency F     share of the data sheet's figures that is reached (default 1: a bound)
  --launch-micros F  between two kernels (default 2)
  --json             one JSON line
  --rounds N         of --check (default ${ROUNDS_MAX}, which is the most)
  --check            predicts this machine's CPU engine and measures it: exit status 1 where they
                     differ by more than 25 %. The least times of all rounds count; it
                     ends when ${ROUNDS_CALM} of them found nothing quicker

Tokens a step are the default model's with its draft head, by the size of the tree.

Examples:
  redraft plan --model 7b --gpu h100 --context 4096 --price 2.5
  redraft plan --check
`,
  run: plan,
};
