/** The C ABI as TypeScript sees it: `engine_ffi.ts` stands behind it, or the fake. @module */

import type { EngineStatusName } from "./abi.ts";

/** A status other than REDRAFT_OK, with the engine's own words. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  constructor(message: string, readonly status: EngineStatusName) {
    super(message);
  }
}

/** `redraft_model_info`'s JSON, as far as the node reads it. */
export interface NativeModelInfo {
  backend: string;
  /** Of the CPU, the widest instructions that its products use; of a GPU, its architecture. */
  isa?: string;
  /** A GPU's name. */
  device?: string;
  /** On a GPU: the kind of the layers' weights, and what multiplies them. */
  layer_weights?: string;
  products?: string;
  model: {
    name: string;
    architecture: string;
    digest: string;
    vocab_size: number;
    context_max: number;
    hidden_size: number;
  };
  head: { digest: string } | null;
  page_tokens: number;
  pages_max: number;
  slots_max: number;
  rows_max: number;
  kv_bytes_per_token: number;
  weight_bytes: number;
  /** On a GPU: its KV pages, what steps work in, and what was free before any of it was taken. */
  kv_bytes?: number;
  workspace_bytes?: number;
  free_bytes?: number;
}

export interface HiddenRows {
  /** Shape `[tokenCount, hiddenSize]`. */
  hidden?: Float32Array<ArrayBuffer>;
  /** Shape `[tokenCount - logitsStart, vocabSize]`. */
  logits?: Float32Array<ArrayBuffer>;
}

/** One engine; at most one call of it is under way. Each rejects with `EngineError`. */
export interface NativeEngine {
  readonly info: NativeModelInfo;
  readonly tokenizerJson: Uint8Array;
  /** Runs one step; the formats are redraft.h's. Both buffers stay untouched until it settles. */
  step(plan: Uint8Array<ArrayBuffer>, result: Uint8Array<ArrayBuffer>): Promise<void>;
  /** Fills `rows` for `tokens`; touches no slot and no page. */
  hidden(tokens: Uint32Array<ArrayBuffer>, rows: HiddenRows, logitsStart: number): Promise<void>;
  /** Joins the engine's threads. */
  close(): void;
}
