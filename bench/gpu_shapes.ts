/** Shapes of models and what of them a step reads: for synthetic weights, and for plans. Pure.
 * @module */

/** A Llama by its shape. */
export interface ModelShape {
  name: string;
  layers: number;
  hidden: number;
  ffn: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  vocab: number;
  /** Logits come of the embedding itself. */
  tied: boolean;
}

/** A draft head by its shape (ARCHITECTURE.md): a GRU, then an MLP over a trimmed vocabulary. */
export interface HeadShape {
  hidden: number;
  state: number;
  mlp: number;
  mlpLayers: number;
  vocab: number;
}

const shape = (
  name: string,
  [layers, hidden, ffn, heads, kvHeads, vocab]: number[],
  tied = false,
): ModelShape => ({
  name,
  layers,
  hidden,
  ffn,
  heads,
  kvHeads,
  headSize: hidden / heads,
  vocab,
  tied,
});

export const SHAPES: readonly ModelShape[] = [
  shape("smollm2-135m", [30, 576, 1536, 9, 3, 49152], true),
  shape("smollm2-360m", [32, 960, 2560, 15, 5, 49152], true),
  shape("tinyllama-1.1b", [22, 2048, 5632, 32, 4, 32000]),
  shape("7b", [32, 4096, 11008, 32, 32, 32000]),
  shape("llama3-8b", [32, 4096, 14336, 32, 8, 128256]),
  shape("13b", [40, 5120, 13824, 40, 40, 32000]),
  shape("34b", [48, 8192, 22016, 64, 8, 32000]),
  shape("70b", [80, 8192, 28672, 64, 8, 32000]),
];

/** @param name In any case.
 * @throws {RangeError} Naming the shapes that there are. */
export function findShape(name: string): ModelShape {
  const found = SHAPES.find((one) => one.name === name.toLowerCase());
  if (found) return found;
  throw new RangeError(`must be one of ${SHAPES.map((one) => one.name).join(", ")}, not "${name}"`);
}

/** The head that is trained for a model of this width: as wide as the default model's up to 1,024,
 * past which its own cost would eat what it gains. */
export function headShapeOf({ hidden, vocab }: ModelShape): HeadShape {
  const width = Math.min(hidden, 1024);
  return { hidden, state: width, mlp: width, mlpLayers: 2, vocab: Math.min(vocab, 4096) };
}

/** Weights of one layer that meet a row: [outputs, inputs] of each product. */
export function layerProducts(shape: ModelShape): ReadonlyArray<readonly [string, number, number]> {
  const { hidden, ffn, heads, kvHeads, headSize } = shape;
  return [
    ["attn_q", heads * headSize, hidden],
    ["attn_k", kvHeads * headSize, hidden],
    ["attn_v", kvHeads * headSize, hidden],
    ["attn_output", hidden, heads * headSize],
    ["ffn_gate", ffn, hidden],
    ["ffn_up", ffn, hidden],
    ["ffn_down", hidden, ffn],
  ];
}

/** Weights that a step reads once however many rows it has: all layers and the logits. */
export function weightCount(shape: ModelShape): number {
  const layer = layerProducts(shape).reduce((sum, [, out, inputs]) => sum + out * inputs, 0);
  return shape.layers * layer + shape.vocab * shape.hidden;
}

/** Weights kept: with the embedding where logits have their own. */
export function parameterCount(shape: ModelShape): number {
  return weightCount(shape) + (shape.tied ? 0 : shape.vocab * shape.hidden);
}

/** KV bytes of one token, in 16-bit floats. */
export function kvBytesPerToken({ layers, kvHeads, headSize }: ModelShape): number {
  return layers * 2 * kvHeads * headSize * 2;
}

/** Weights of the head that a level of drafting reads, and those read once a tree. */
export function headWeights({ hidden, state, mlp, mlpLayers, vocab }: HeadShape) {
  const once = state * hidden + mlp * hidden;
  const each = 3 * state * (hidden + state) + mlp * state + (mlpLayers - 1) * mlp * mlp +
    vocab * mlp;
  return { once, each };
}
