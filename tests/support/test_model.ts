/** The real model that tests use: its tokenizer, read without the engine. @module */
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { readGgufMetadata, tokenizerJson } from "./gguf_metadata.ts";

const MODELS = new URL("../../.cache/models/", import.meta.url);

/** Metadata lies at the start; the default model's takes 1.7 MB of it. */
const METADATA_BYTES_MAX = 1 << 24;

/** The path of the model: `REDRAFT_TEST_MODEL`, else what `deno task pull` fetched. */
export async function testModelPath(): Promise<string | URL> {
  const path = Deno.env.get("REDRAFT_TEST_MODEL");
  if (path) return path;
  try {
    for await (const entry of Deno.readDir(MODELS)) {
      if (entry.name.endsWith(".gguf")) return new URL(entry.name, MODELS);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  throw new Error("Cannot find the test model: run `deno task pull`, or set REDRAFT_TEST_MODEL");
}

let json: Promise<Uint8Array> | undefined;

/** The test model's tokenizer as the engine would hand it over. Read once. */
export function testTokenizerJson(): Promise<Uint8Array> {
  json ??= readTokenizerJson();
  return json;
}

async function readTokenizerJson(): Promise<Uint8Array> {
  using file = await Deno.open(await testModelPath());
  const bytes = new Uint8Array(METADATA_BYTES_MAX);
  let filled = 0;
  while (filled < bytes.length) {
    const count = await file.read(bytes.subarray(filled));
    if (count === null) break;
    filled += count;
  }
  const metadata = readGgufMetadata(bytes.subarray(0, filled));
  return new TextEncoder().encode(tokenizerJson(metadata));
}

/** One on a vocabulary of bytes and the model's special tokens, which builds fast.
 * @param json Of the model's own. */
export function byteTokenizerJson(json: Uint8Array, more: Record<string, unknown>): Uint8Array {
  const fields = JSON.parse(new TextDecoder().decode(json));
  const kept = fields.token_types.flatMap((kind: number, id: number) =>
    kind === 3 || [...fields.tokens[id]].length === 1 ? [id] : []
  );
  const small = {
    ...fields,
    tokens: kept.map((id: number) => fields.tokens[id]),
    token_types: kept.map((id: number) => fields.token_types[id]),
    merges: [],
    ...more,
  };
  return new TextEncoder().encode(JSON.stringify(small));
}

export function byteTokenizer(json: Uint8Array, more: Record<string, unknown>): ModelTokenizer {
  return new ModelTokenizer(byteTokenizerJson(json, more));
}
