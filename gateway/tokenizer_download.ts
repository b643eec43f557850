/** A tokenizer as it arrives from a node: in chunks, bounded, checked by digest. @module */
import { createHash } from "node:crypto";
import type { TokenizerChunkFrame } from "../proto/frame_types.ts";
import { LIMITS } from "../proto/limits.ts";

export class TokenizerDownload {
  readonly #chunks: Uint8Array[] = [];
  readonly #hash = createHash("sha256");
  #byteCount = 0;
  #count = 0;

  constructor(readonly digest: string) {}

  /** @returns The whole JSON, with its last chunk; until then `undefined`.
   * @throws {Error} If the chunk is not the next one of this tokenizer, or the digest is wrong. */
  push(chunk: TokenizerChunkFrame): Uint8Array | undefined {
    const index = this.#chunks.length;
    if (chunk.digest !== this.digest) throw new Error("Cannot load tokenizer: chunk of another");
    if (index === 0) this.#count = chunk.count;
    if (chunk.index !== index || chunk.count !== this.#count) {
      throw new Error(`Cannot load tokenizer: chunk ${chunk.index} came, ${index} was due`);
    }
    if (this.#count < 1 || this.#count > LIMITS.tokenizerChunksMax) {
      throw new Error(`Cannot load tokenizer: ${this.#count} chunks announced`);
    }
    this.#chunks.push(chunk.json);
    this.#hash.update(chunk.json);
    this.#byteCount += chunk.json.byteLength;
    if (this.#chunks.length < this.#count) return undefined;
    if (this.#hash.digest("hex") !== this.digest) {
      throw new Error("Cannot load tokenizer: its digest is not the announced one");
    }
    const json = new Uint8Array(this.#byteCount);
    let offset = 0;
    for (const part of this.#chunks) {
      json.set(part, offset);
      offset += part.byteLength;
    }
    return json;
  }
}
