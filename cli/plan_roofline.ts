/** What a step should take, from what it must read and multiply: a roofline with a soft knee. Pure.
 *
 * Reading and multiplying overlap, but not where they take about the same: t = sqrt(m^2 + c^2) is
 * at most 1.41 times the sharp roofline there and the same far from it. On the CPU engine it is
 * within 25 % of what is measured (`redraft plan --check`).
 * @module */
import {
  type HeadShape,
  headWeights,
  kvBytesPerToken,
  type ModelShape,
  parameterCount,
  weightCount,
} from "../bench/gpu_shapes.ts";

export interface Machine {
  name: string;
  memoryBytes: number;
  /** Of its memory. */
  bytesPerSecond: number;
  /** Multiplications and additions of 8-bit integers. */
  opsPerSecond: number;
  /** Between two kernels; 0 where there are none. */
  launchSeconds: number;
  /** 8-bit products that one of a weight and an activation takes. */
  opsPerProduct: number;
}

/** Dense figures of the makers' data sheets: GB of memory, TB/s, TOPS of 8-bit integers. */
const GPU_FIGURES: Readonly<Record<string, readonly [gb: number, tb: number, tops: number]>> = {
  "l4": [24, 0.3, 242],
  "l40s": [48, 0.864, 733],
  "rtx4090": [24, 1.008, 660],
  "a100-40": [40, 1.555, 624],
  "a100-80": [80, 2.039, 624],
  "h100": [80, 3.35, 1979],
  "h200": [141, 4.8, 1979],
  "b200": [180, 7.7, 4500],
};

export const GPU_NAMES = Object.keys(GPU_FIGURES);

/** A GPU, its figures taken as a share of the data sheet's.
 * @param asked Its name in any case.
 * @throws {RangeError} Naming the GPUs that there are. */
export function findGpu(asked: string, efficiency: number, launchMicros: number): Machine {
  const name = asked.toLowerCase();
  const figures = Object.hasOwn(GPU_FIGURES, name) ? GPU_FIGURES[name] : undefined;
  if (!figures) throw new RangeError(`must be one of ${GPU_NAMES.join(", ")}, not "${asked}"`);
  const [gb, tb, tops] = figures;
  return {
    name,
    memoryBytes: gb * 1e9,
    bytesPerSecond: tb * 1e12 * efficiency,
    opsPerSecond: tops * 1e12 * efficiency,
    launchSeconds: launchMicros * 1e-6,
    // The CUDA kernels take an activation as two bytes: two products, each two operations.
    opsPerProduct: 4,
  };
}

/** Bytes of a weight as both backends hold it: blocks of 32 with a scale, in 4 bits a minimum. */
export function bytesPerWeight(bits: 4 | 8): number {
  return bits === 4 ? 20 / 32 : 36 / 32;
}

/** Kernels of the CUDA engine (kernels/cuda/cuda_step.cc): a layer's, a step's, a draft level's. */
const LAUNCHES = { layer: 14, step: 10, level: 14 };

export interface Workload {
  model: ModelShape;
  head: HeadShape;
  bits: 4 | 8;
  /** Of the matrix that gives logits, where it is held otherwise. */
  logitBits?: 4 | 8;
  sequences: number;
  /** Tokens before the step, each sequence. */
  context: number;
  /** Packed tokens of each sequence's tree, root included; 1 drafts nothing. */
  tree: number;
  /** Levels of the draft; a tree of more tokens has more. */
  levels: number;
  beamWidth: number;
}

const seconds = (machine: Machine, bytes: number, ops: number) =>
  Math.hypot(bytes / machine.bytesPerSecond, ops / machine.opsPerSecond);

/** The target's part of a step: all layers over all rows, and the logits. */
export function targetSeconds(machine: Machine, work: Workload): number {
  const { model, bits, logitBits = bits, sequences, context, tree } = work;
  const rows = sequences * tree;
  const weights = weightCount(model), logits = model.vocab * model.hidden;
  const bytes = (weights - logits) * bytesPerWeight(bits) + logits * bytesPerWeight(logitBits) +
    sequences * context * kvBytesPerToken(model) + 2 * 4 * rows * model.vocab;
  const attention = 4 * rows * context * model.layers * model.heads * model.headSize;
  const ops = rows * weights * machine.opsPerProduct + attention;
  const launches = LAUNCHES.layer * model.layers + LAUNCHES.step;
  return seconds(machine, bytes, ops) + launches * machine.launchSeconds;
}

/** The draft head's part, a level at a time over all beams. */
export function draftSeconds(machine: Machine, work: Workload): number {
  if (work.tree < 2) return 0;
  const { once, each } = headWeights(work.head);
  const bytes = bytesPerWeight(8);
  const level = (beams: number) =>
    seconds(machine, each * bytes, work.sequences * beams * each * machine.opsPerProduct) +
    LAUNCHES.level * machine.launchSeconds;
  const start = seconds(machine, once * bytes, work.sequences * once * machine.opsPerProduct);
  return start + level(1) + Math.max(0, work.levels - 1) * level(work.beamWidth);
}

export const stepSeconds = (machine: Machine, work: Workload) =>
  targetSeconds(machine, work) + draftSeconds(machine, work);

/** Sequences whose KV rows fit beside the weights; a tenth of the memory is left for the rest. */
export function sequencesThatFit(
  machine: Machine,
  work: Pick<Workload, "model" | "bits" | "context">,
): number {
  const free = 0.9 * machine.memoryBytes - parameterCount(work.model) * bytesPerWeight(work.bits);
  return Math.max(0, Math.floor(free / (work.context * kvBytesPerToken(work.model))));
}

/** A machine from how long plain steps took on it, by their rows: the two rates that come nearest
 * to all of them, by least squares of relative errors. A step that was disturbed took longer, and
 * counts for less the longer it took; with the two ends alone it would shift every prediction.
 * @throws {RangeError} Without steps of two numbers of rows. */
export function machineOf(
  name: string,
  work: Omit<Workload, "sequences" | "tree">,
  steps: readonly { rows: number; seconds: number }[],
): Machine {
  if (new Set(steps.map(({ rows }) => rows)).size < 2) {
    throw new RangeError("a machine's rates take steps of two numbers of rows");
  }
  const one = { launchSeconds: 0, opsPerProduct: 2, memoryBytes: Infinity, name };
  // With x = 1 / bytesPerSecond^2 and y = 1 / opsPerSecond^2 a step has
  // (bytes / t)^2 x + (ops / t)^2 y = 1: linear in both.
  let aa = 0, ab = 0, bb = 0, a1 = 0, b1 = 0;
  for (const { rows, seconds } of steps) {
    const unit = { ...work, sequences: rows, tree: 1 };
    const bytes = targetSeconds({ ...one, bytesPerSecond: 1, opsPerSecond: Infinity }, unit);
    const ops = targetSeconds({ ...one, bytesPerSecond: Infinity, opsPerSecond: 1 }, unit);
    const [a, b] = [(bytes / seconds) ** 2, (ops / seconds) ** 2];
    [aa, ab, bb, a1, b1] = [aa + a * a, ab + a * b, bb + b * b, a1 + a, b1 + b];
  }
  const determinant = aa * bb - ab * ab;
  let x = (a1 * bb - b1 * ab) / determinant, y = (b1 * aa - a1 * ab) / determinant;
  // No rate is less than nothing: what comes out so is left out, and the other one fitted alone.
  if (!(x >= 0)) [x, y] = [0, b1 / bb];
  else if (!(y >= 0)) [x, y] = [a1 / aa, 0];
  return { ...one, bytesPerSecond: 1 / Math.sqrt(x), opsPerSecond: 1 / Math.sqrt(y) };
}
