/** Synthetic weights of a model's shape, for measuring time where no weights can be had: a step
 * takes what it takes whatever the weights say. What such a model writes is noise, and every figure
 * of it is labelled so. @module */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { type HeadShape, layerProducts, type ModelShape } from "./gpu_shapes.ts";

const ALIGNMENT = 32;
const F32 = 0, Q4_0 = 2;
const U32_VALUE = 4, F32_VALUE = 6, STRING_VALUE = 8, ARRAY_VALUE = 9;
const BLOCK_WEIGHTS = 32, BLOCK_BYTES = 18;
/** Random blocks, written again and again. */
const CHUNK_BLOCKS = 1 << 16;

class Bytes {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  add(part: Uint8Array): this {
    this.#parts.push(part);
    this.length += part.length;
    return this;
  }
  u32(value: number): this {
    return this.add(new Uint8Array(Uint32Array.of(value).buffer));
  }
  u64(value: number): this {
    return this.add(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }
  f32(value: number): this {
    return this.add(new Uint8Array(Float32Array.of(value).buffer));
  }
  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.u64(bytes.length).add(bytes);
  }
  joined(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) (out.set(part, at), at += part.length);
    return out;
  }
}

function metadata(shape: ModelShape, contextMax: number): { bytes: Uint8Array; count: number } {
  const out = new Bytes();
  let count = 0;
  const key = (name: string, type: number) => (++count, out.text(name).u32(type));
  key("general.architecture", STRING_VALUE).text("llama");
  key("general.name", STRING_VALUE).text(`synthetic ${shape.name}`);
  const numbers: ReadonlyArray<readonly [string, number]> = [
    ["embedding_length", shape.hidden],
    ["block_count", shape.layers],
    ["feed_forward_length", shape.ffn],
    ["attention.head_count", shape.heads],
    ["attention.head_count_kv", shape.kvHeads],
    ["context_length", contextMax],
  ];
  for (const [name, value] of numbers) key(`llama.${name}`, U32_VALUE).u32(value);
  key("llama.attention.layer_norm_rms_epsilon", F32_VALUE).f32(1e-5);
  key("tokenizer.ggml.tokens", ARRAY_VALUE).u32(STRING_VALUE).u64(shape.vocab);
  for (let i = 0; i < shape.vocab; i++) out.text(`t${i}`);
  return { bytes: out.joined(), count };
}

interface Tensor {
  name: string;
  type: number;
  /** Innermost first, as GGUF has them. */
  shape: number[];
  bytes: number;
  offset: number;
}

/** All layers share one layer's bytes in the file: on the device each has its own. */
function layOut(shape: ModelShape): { tensors: Tensor[]; pieces: Tensor[] } {
  const tensors: Tensor[] = [], pieces: Tensor[] = [];
  let end = 0;
  const place = (name: string, type: number, dims: number[]): Tensor => {
    const weights = dims.reduce((a, b) => a * b, 1);
    const bytes = type === F32 ? 4 * weights : weights / BLOCK_WEIGHTS * BLOCK_BYTES;
    const tensor = { name, type, shape: dims, bytes, offset: end };
    end = Math.ceil((end + bytes) / ALIGNMENT) * ALIGNMENT;
    pieces.push(tensor);
    return tensor;
  };
  const { hidden, vocab } = shape;
  tensors.push(place("token_embd.weight", Q4_0, [hidden, vocab]));
  if (!shape.tied) tensors.push(place("output.weight", Q4_0, [hidden, vocab]));
  const norm = place("output_norm.weight", F32, [hidden]);
  tensors.push(norm);
  const layer = layerProducts(shape).map(([name, out, inputs]) =>
    place(`${name}.weight`, Q4_0, [inputs, out])
  );
  for (let index = 0; index < shape.layers; index++) {
    for (const one of layer) tensors.push({ ...one, name: `blk.${index}.${one.name}` });
    for (const name of ["attn_norm", "ffn_norm"]) {
      tensors.push({ ...norm, name: `blk.${index}.${name}.weight` });
    }
  }
  return { tensors, pieces };
}

/** Blocks of Q4_0 with random weights of about the scale 1 / sqrt(inputs). */
function randomChunk(inputs: number): Uint8Array {
  const chunk = new Uint8Array(CHUNK_BLOCKS * BLOCK_BYTES);
  for (let at = 0; at < chunk.length; at += 65536) {
    crypto.getRandomValues(chunk.subarray(at, Math.min(at + 65536, chunk.length)));
  }
  // A weight is (0 ... 15 - 8) * d, whose deviation is 4.6 d.
  const scale = new Float16Array([0.2 / Math.sqrt(inputs)]);
  const [low, high] = new Uint8Array(scale.buffer);
  for (let at = 0; at < chunk.length; at += BLOCK_BYTES) (chunk[at] = low, chunk[at + 1] = high);
  return chunk;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

/** Writes a GGUF file of the shape.
 * @returns The file's SHA-256, which a head must name. */
async function writeModel(path: string, shape: ModelShape, contextMax: number): Promise<string> {
  const { tensors, pieces } = layOut(shape);
  const { bytes, count } = metadata(shape, contextMax);
  const head = new Bytes().add(new TextEncoder().encode("GGUF")).u32(3).u64(tensors.length)
    .u64(count).add(bytes);
  for (const { name, shape, type, offset } of tensors) {
    head.text(name).u32(shape.length);
    for (const dim of shape) head.u64(dim);
    head.u32(type).u64(offset);
  }
  head.add(new Uint8Array((ALIGNMENT - head.length % ALIGNMENT) % ALIGNMENT));
  const digest = createHash("sha256");
  using file = await Deno.open(path, { write: true, create: true, truncate: true });
  const put = async (part: Uint8Array) => {
    digest.update(part);
    await writeAll(file, part);
  };
  await put(head.joined());
  for (const { type, shape, bytes } of pieces) {
    if (type === F32) await put(new Uint8Array(new Float32Array(shape[0]).fill(1).buffer));
    else {
      const chunk = randomChunk(shape[0]);
      for (let left = bytes; left > 0; left -= chunk.length) await put(chunk.subarray(0, left));
    }
    await put(new Uint8Array((ALIGNMENT - bytes % ALIGNMENT) % ALIGNMENT));
  }
  return digest.digest("hex");
}

function randomHalves(count: number, inputs: number): Uint8Array {
  const values = new Float16Array(count);
  const scale = 2 / Math.sqrt(inputs);
  for (let i = 0; i < count; i++) values[i] = (Math.random() - 0.5) * scale;
  return new Uint8Array(values.buffer);
}

/** Writes a draft head of the shape for the model with this digest. */
async function writeHead(folder: string, shape: HeadShape, vocab: number, digest: string) {
  const { hidden: h, state: s, mlp: d, vocab: v } = shape;
  const tensors: Array<[string, number[]]> = [
    ["init.weight", [s, h]],
    ["init.bias", [s]],
    ["gru.w_ih", [3 * s, h]],
    ["gru.b_ih", [3 * s]],
    ["gru.w_hh", [3 * s, s]],
    ["gru.b_hh", [3 * s]],
    ["mlp.0.weight", [d, h + s]],
    ["mlp.0.bias", [d]],
  ];
  for (let i = 1; i < shape.mlpLayers; i++) {
    tensors.push([`mlp.${i}.weight`, [d, d]], [`mlp.${i}.bias`, [d]]);
  }
  tensors.push(["head.weight", [v, d]]);
  const index: Record<string, unknown> = {};
  const data = new Bytes();
  const add = (name: string, dtype: string, dims: number[], bytes: Uint8Array) => {
    index[name] = { dtype, shape: dims, data_offsets: [data.length, data.length + bytes.length] };
    data.add(bytes);
  };
  const ids = Int32Array.from({ length: v }, (_, i) => Math.floor(i * vocab / v));
  add("draft_vocab", "I32", [v], new Uint8Array(ids.buffer));
  for (const [name, dims] of tensors) {
    const count = dims.reduce((a, b) => a * b, 1);
    add(name, "F16", dims, randomHalves(count, dims.at(-1)!));
  }
  let header = JSON.stringify(index);
  header = header.padEnd(Math.ceil(header.length / 8) * 8);
  const file = new Bytes().text(header).add(data.joined());
  await Deno.mkdir(folder, { recursive: true });
  await Deno.writeFile(join(folder, "model.safetensors"), file.joined());
  const config = {
    format: "redraft-head-1",
    cell: "gru",
    hidden_size: h,
    state_size: s,
    mlp_size: d,
    mlp_layers: shape.mlpLayers,
    draft_vocab_size: v,
    target_vocab_size: vocab,
    target_digest: digest,
    logit_scale: 1,
  };
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
}

/** Writes a model and its head into `folder`; of a 34B model it takes 0.7 GB. */
export async function writeSynthetic(
  folder: string,
  model: ModelShape,
  head: HeadShape,
  contextMax: number,
): Promise<{ model: string; head: string }> {
  const files = {
    model: join(folder, `synthetic-${model.name}.gguf`),
    head: join(folder, `head-${model.name}`),
  };
  const digest = await writeModel(files.model, model, contextMax);
  await writeHead(files.head, head, model.vocab, digest);
  return files;
}
