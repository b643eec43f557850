/** A draft head of the form that TensorRT-LLM runs: Apple's, as its files are. @module */
import { join } from "node:path";

export const APPLE_CONFIG = {
  rnn: true,
  hidden_size: 64,
  vocab_size: 99,
  exit_dim: 128,
  num_draft_layers: 2,
};

/** As safetensors: the header's length, the header, the numbers. */
export function safetensors(header: unknown, dataBytes: number): Uint8Array<ArrayBuffer> {
  const json = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

/** One tensor of two halves. */
const WEIGHTS = safetensors(
  { __metadata__: {}, "fc.weight": { dtype: "F16", shape: [2], data_offsets: [0, 4] } },
  4,
);

/** @returns A temporary folder. */
export async function writeHead(config: unknown, weights = WEIGHTS): Promise<string> {
  const folder = await Deno.makeTempDir();
  await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
  await Deno.writeFile(join(folder, "model.safetensors"), weights);
  return folder;
}
