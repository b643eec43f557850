/** Prompt blocks: the unit in which a prefix is hashed, routed and cached. Pure. @module */
import { hashPromptBlocks as hashInWasm } from "../kernels/glue/mod.ts";

/** A page of more tokens than any context would only ever be a mistake. */
const PAGE_TOKENS_MAX = 1 << 20;

export interface BlockOptions {
  /** Tokens of a block; equals the engine's KV page size. */
  pageTokens: number;
  /** From `blockSeed()`: one index serves all models and tenants, and none matches another's. */
  seed: Uint8Array;
}

/** Hashes each full block, chained: equal prefixes hash equal, so a match is a hint, not proof.
 * @param tokens Token ids, shape `[tokenCount]`.
 * @returns Hashes, shape `[floor(tokenCount / pageTokens)]`; a ragged tail has none.
 * @throws {RangeError} If `pageTokens` is not a positive integer.
 * @see vLLM `v1/core/block_pool.py`. */
export function hashPromptBlocks(tokens: Uint32Array, options: BlockOptions): BigUint64Array {
  const { pageTokens, seed } = options;
  if (!Number.isInteger(pageTokens) || pageTokens < 1 || pageTokens > PAGE_TOKENS_MAX) {
    throw new RangeError(`Cannot hash prompt blocks: ${pageTokens} tokens a page`);
  }
  return hashInWasm(tokens, pageTokens, seed);
}
