/** A model of a few lines: the next token is a function of the prefix, the seed and the position
 * alone, and drafts guess it with a given chance. Pure, and the same on every machine. @module */

import type { Sampling } from "../proto/sampling.ts";
import type { DraftBudget } from "./engine.ts";

/** A 32-bit hash of `hash` with `value` appended (the finalizer of MurmurHash3). */
export function mix(hash: number, value: number): number {
  let h = Math.imul(hash ^ Math.imul(value + 0x9e3779b9, 0x85ebca6b), 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return (h ^ (h >>> 16)) >>> 0;
}

/** Hash of the empty prefix. */
export const PREFIX_START = 0x5eed;

export interface PendingToken {
  token: number;
  parent: number;
  depth: number;
  /** Of the prefix that ends in this token. */
  prefixHash: number;
}

export class FakeModel {
  /** @param accuracy The chance that a drafted path's next token is right. */
  constructor(readonly vocabSize: number, readonly accuracy: number) {}

  /** The token after a prefix of hash `prefixHash`, at `position`. */
  next(prefixHash: number, position: number, sampling: Sampling): number {
    if (sampling.temperature === 0) return mix(prefixHash, 1) % this.vocabSize;
    const seed = mix(mix(sampling.seedLow, sampling.seedHigh), position);
    return mix(prefixHash, seed) % this.vocabSize;
  }

  /** A tree below the root token, parents first. */
  draft(
    root: PendingToken,
    position: number,
    sampling: Sampling,
    budget: DraftBudget,
  ): PendingToken[] {
    const tree = [root];
    let parent = 0;
    for (let depth = 1; depth < budget.beamLength && tree.length < budget.packedMax; depth++) {
      const { prefixHash } = tree[parent];
      const right = this.next(prefixHash, position + depth, sampling);
      const chance = mix(prefixHash, 2) / 0x1_0000_0000;
      const first = chance < this.accuracy ? right : (right + 1) % this.vocabSize;
      const siblings = Math.min(budget.beamWidth, budget.packedMax - tree.length, this.vocabSize);
      const below = tree.length;
      for (let i = 0; i < siblings; i++) {
        const token = (first + i * 2) % this.vocabSize;
        if (i > 0 && tree.slice(below).some((packed) => packed.token === token)) continue;
        tree.push({ token, parent, depth, prefixHash: mix(prefixHash, token) });
      }
      // Follow the right token where there is one, else the first: later siblings can be right.
      const hit = tree.findIndex((packed, r) => r >= below && packed.token === right);
      parent = hit >= 0 ? hit : below;
    }
    return tree;
  }
}
