/** A cut of a GGUF model: its first layers, its whole vocabulary. It talks nonsense, but of the
 * real shapes, tokenizer and weights; small enough to run where a step is slow. @module */
import { createHash } from "node:crypto";
import { join } from "node:path";

const ALIGNMENT = 32;
const STRING = 8, ARRAY = 9;
const SCALAR_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

interface TensorInfo {
  name: string;
  /** Its record, less the offset at its end. */
  record: Uint8Array;
  offset: number;
}

/** Walks a file that tests trust. */
class Walker {
  at = 24;
  readonly view: DataView;

  constructor(readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u32(): number {
    return this.view.getUint32((this.at += 4) - 4, true);
  }

  u64(): number {
    return Number(this.view.getBigUint64((this.at += 8) - 8, true));
  }

  string(): string {
    const bytes = this.u64();
    return new TextDecoder().decode(this.bytes.subarray(this.at, this.at += bytes));
  }

  skip(type: number): void {
    if (type === STRING) this.string();
    else if (type === ARRAY) {
      const item = this.u32(), count = this.u64();
      if (item === STRING) { for (let i = 0; i < count; i++) this.skip(STRING); }
      else this.at += SCALAR_BYTES[item] * count;
    } else this.at += SCALAR_BYTES[type];
  }

  tensor(): TensorInfo {
    const start = this.at;
    const name = this.string();
    const dimensionCount = this.u32();
    this.at += 8 * dimensionCount + 4; // Dimensions, type.
    const record = this.bytes.slice(start, this.at);
    return { name, record, offset: this.u64() };
  }
}

const aligned = (bytes: number) => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

/** @param bytes A GGUF file with the default alignment. */
export function cutModel(bytes: Uint8Array, layerCount: number): Uint8Array<ArrayBuffer> {
  const walker = new Walker(bytes);
  const head = bytes.slice(0, 24);
  const tensorCount = Number(walker.view.getBigUint64(8, true));
  const keyCount = Number(walker.view.getBigUint64(16, true));
  let layersAt = 0;
  for (let i = 0; i < keyCount; i++) {
    const key = walker.string(), type = walker.u32();
    if (key.endsWith(".block_count")) layersAt = walker.at;
    walker.skip(type);
  }
  const metadata = bytes.slice(24, walker.at);
  new DataView(metadata.buffer).setUint32(layersAt - 24, layerCount, true);
  const tensors = Array.from({ length: tensorCount }, () => walker.tensor());
  const dataAt = aligned(walker.at);
  const ends = tensors.map(({ offset }) => offset).sort((a, b) => a - b);
  const kept = tensors.filter(({ name }) =>
    Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? 0) < layerCount
  );
  new DataView(head.buffer).setBigUint64(8, BigInt(kept.length), true);
  const parts: Uint8Array[] = [head, metadata];
  const data: Uint8Array[] = [];
  let dataBytes = 0;
  for (const { record, offset } of kept) {
    parts.push(record, new Uint8Array(BigUint64Array.of(BigInt(dataBytes)).buffer));
    const end = ends.find((other) => other > offset) ?? bytes.length - dataAt;
    const piece = new Uint8Array(aligned(end - offset));
    piece.set(bytes.subarray(dataAt + offset, dataAt + end));
    data.push(piece);
    dataBytes += piece.length;
  }
  const headerBytes = parts.reduce((sum, part) => sum + part.length, 0);
  parts.push(new Uint8Array(aligned(headerBytes) - headerBytes), ...data);
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) (out.set(part, at), at += part.length);
  return out;
}

export interface CutFiles {
  model: string;
  /** The model's own draft head, which now names the cut. */
  head: string;
}

/** Writes a cut and its head into `folder`. */
export async function writeCut(
  folder: string,
  from: { model: string; head: string; layerCount: number },
): Promise<CutFiles> {
  const bytes = cutModel(await Deno.readFile(from.model), from.layerCount);
  const files = { model: join(folder, "cut.gguf"), head: join(folder, "head") };
  await Deno.writeFile(files.model, bytes);
  await Deno.mkdir(files.head, { recursive: true });
  const config = JSON.parse(await Deno.readTextFile(join(from.head, "config.json")));
  config.target_digest = createHash("sha256").update(bytes).digest("hex");
  await Deno.writeTextFile(join(files.head, "config.json"), JSON.stringify(config));
  await Deno.copyFile(join(from.head, "model.safetensors"), join(files.head, "model.safetensors"));
  return files;
}
