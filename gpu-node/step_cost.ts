/** What a step costs by its rows: measured when the engine opens, corrected by every step since.
 * Pure: times are handed in. @module */

import assert from "node:assert/strict";

/** Row counts at which costs are kept; between them a line is drawn. Dense where trees live. */
const ANCHORS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 96, 128];

/** Of each row count up to the last anchor: the anchor that ends its line. */
const LINE_ENDS = Uint8Array.from(
  { length: ANCHORS.at(-1)! + 1 },
  (_, rows) => Math.max(1, ANCHORS.findIndex((anchor) => anchor >= rows)),
);

/** How fast the level follows the machine, and how fast the shape follows the steps. */
const LEVEL_WEIGHT = 0.1;
const SHAPE_WEIGHT = 0.04;
/** For how many steps a row count stands beside others. */
const BESIDE_STEPS = 64;
/** By how much each step makes larger ones, which did not run, seem cheaper: a bad measurement
 * would else forbid for ever what alone could correct it. Half of it is gone after 3,500 steps. */
const FADING = 0.0002;

/** Without a measurement: a row costs an eighth of the step that carries it. */
const ASSUMED_ROW_SHARE = 0.125;

export class StepCost {
  /** Microseconds at each anchor, as measured and corrected, without the level. */
  readonly #shape: number[];
  /** What the machine takes now over what it took when measured: others run on it too. */
  #level = 1;
  /** The last step of each anchor. */
  readonly #lastStep = new Float64Array(ANCHORS.length).fill(-Infinity);
  #stepCount = 0;

  /** @param measured Microseconds by rows; without any, costs are assumed. */
  constructor(measured: ReadonlyMap<number, number> = new Map()) {
    const points = [...measured].sort(([a], [b]) => a - b);
    assert(
      points.every(([rows, micros]) => rows >= 1 && micros > 0),
      "rows and times are positive",
    );
    if (points.length === 0) points.push([1, 1000]);
    if (points[0][0] > 1) points.unshift([1, points[0][1]]);
    for (let i = 1; i < points.length; i++) points[i][1] = Math.max(points[i][1], points[i - 1][1]);
    const [rows, micros] = points.at(-1)!;
    if (points.length === 1) points.push([rows + 8, micros * (1 + 8 * ASSUMED_ROW_SHARE)]);
    this.#shape = ANCHORS.map((anchor) => interpolate(points, anchor));
  }

  /** Microseconds of a step of so many rows, a whole number; never falls with the rows. Planning
   * asks for hundreds of them a step. */
  micros(rows: number): number {
    const end = rows < LINE_ENDS.length ? LINE_ENDS[rows] : ANCHORS.length - 1;
    const [x0, y0] = [ANCHORS[end - 1], this.#shape[end - 1]];
    const slope = (this.#shape[end] - y0) / (ANCHORS[end] - x0);
    return this.#level * (y0 + slope * (rows - x0));
  }

  /** A step of generation rows alone took so long, its drafting not counted. */
  observe(rows: number, micros: number): void {
    if (rows < 1 || micros <= 0) return;
    // One step that the machine slept through says nothing about the next.
    const ratio = Math.min(2, Math.max(0.5, micros / this.micros(rows)));
    this.#level *= 1 + LEVEL_WEIGHT * (ratio - 1);
    const at = nearestAnchor(rows);
    const shape = this.#shape;
    // Where all steps have the same rows, a slower machine is all that they can tell of.
    const step = this.#lastStep[at] = ++this.#stepCount;
    const isBesideOthers = this.#lastStep.some((last, other) =>
      other !== at && step - last <= BESIDE_STEPS
    );
    if (isBesideOthers) shape[at] *= 1 + SHAPE_WEIGHT * (ratio - 1);
    for (let i = at + 1; i < shape.length; i++) shape[i] -= FADING * (shape[i] - shape[at]);
    this.#keepRising(at);
  }

  /** More rows never cost less, whatever the noise says: else a budget would pay for nothing. */
  #keepRising(fixed: number): void {
    const shape = this.#shape;
    for (let i = fixed + 1; i < shape.length; i++) shape[i] = Math.max(shape[i], shape[i - 1]);
    for (let i = fixed - 1; i >= 0; i--) shape[i] = Math.min(shape[i], shape[i + 1]);
  }
}

function nearestAnchor(rows: number): number {
  let best = 0;
  for (let i = 1; i < ANCHORS.length; i++) {
    if (Math.abs(ANCHORS[i] - rows) < Math.abs(ANCHORS[best] - rows)) best = i;
  }
  return best;
}

/** A line through the two points beside `rows`, and on past the last ones. */
function interpolate(points: readonly (readonly [number, number])[], rows: number): number {
  let right = points.findIndex(([at]) => at >= rows);
  if (right < 0) right = points.length - 1;
  right = Math.max(1, right);
  const [[x0, y0], [x1, y1]] = [points[right - 1], points[right]];
  return y0 + (y1 - y0) * (rows - x0) / (x1 - x0);
}
