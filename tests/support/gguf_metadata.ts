/** Reads a GGUF file's metadata in plain TypeScript: a second reader, so that tests of the
 * tokenizer need no engine. For files that tests trust: it checks bounds and nothing else. @module
 */

const ARRAY = 9;
const STRING = 8;

export type MetadataValue = number | bigint | boolean | string | MetadataValue[];

class Reader {
  readonly #view: DataView;
  readonly #decoder = new TextDecoder();
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #next(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }

  u32(): number {
    return this.#view.getUint32(this.#next(4), true);
  }

  u64(): number {
    return Number(this.#view.getBigUint64(this.#next(8), true));
  }

  string(): string {
    const bytes = this.u64();
    const start = this.#view.byteOffset + this.#next(bytes);
    return this.#decoder.decode(new Uint8Array(this.#view.buffer, start, bytes));
  }

  value(type: number): MetadataValue {
    const view = this.#view;
    switch (type) {
      case 0:
        return view.getUint8(this.#next(1));
      case 1:
        return view.getInt8(this.#next(1));
      case 2:
        return view.getUint16(this.#next(2), true);
      case 3:
        return view.getInt16(this.#next(2), true);
      case 4:
        return this.u32();
      case 5:
        return view.getInt32(this.#next(4), true);
      case 6:
        return view.getFloat32(this.#next(4), true);
      case 7:
        return view.getUint8(this.#next(1)) !== 0;
      case STRING:
        return this.string();
      case ARRAY: {
        const itemType = this.u32();
        return Array.from({ length: this.u64() }, () => this.value(itemType));
      }
      case 10:
        return view.getBigUint64(this.#next(8), true);
      case 11:
        return view.getBigInt64(this.#next(8), true);
      case 12:
        return view.getFloat64(this.#next(8), true);
      default:
        throw new RangeError(`Cannot read GGUF metadata: type ${type} is unknown`);
    }
  }
}

/** @param bytes The file's start, with all of its metadata. */
export function readGgufMetadata(bytes: Uint8Array): Map<string, MetadataValue> {
  const reader = new Reader(bytes);
  if (reader.u32() !== 0x46554747) throw new TypeError("Cannot read GGUF metadata: wrong magic");
  const version = reader.u32();
  if (version < 2) throw new RangeError(`Cannot read GGUF metadata: version ${version}`);
  reader.u64(); // Tensors.
  const count = reader.u64();
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const key = reader.string();
    metadata.set(key, reader.value(reader.u32()));
  }
  return metadata;
}

/** The JSON that `redraft_tokenizer` of the C ABI gives, made of a file's metadata. */
export function tokenizerJson(metadata: Map<string, MetadataValue>): string {
  const field = (key: string) => metadata.get(`tokenizer.ggml.${key}`) ?? null;
  return JSON.stringify({
    model: field("model"),
    pre: field("pre"),
    tokens: field("tokens"),
    token_types: field("token_type"),
    merges: field("merges"),
    scores: field("scores"),
    bos_token_id: field("bos_token_id"),
    eos_token_id: field("eos_token_id"),
    unknown_token_id: field("unknown_token_id"),
    padding_token_id: field("padding_token_id"),
    add_bos_token: field("add_bos_token") ?? false,
    add_eos_token: field("add_eos_token") ?? false,
    add_space_prefix: field("add_space_prefix"),
    chat_template: metadata.get("tokenizer.chat_template") ?? null,
  });
}
