/** Which prompt blocks each node says it holds. A hint, not proof: nodes compare the tokens. Pure.
 * @module */

/** A node that stores and removes blocks without end stays within its own page count. */
export class PrefixIndex {
  /** Insertion order is age: what a node reported longest ago goes first at the bound. */
  readonly #blocks = new Map<string, { hashes: Set<bigint>; blocksMax: number }>();

  /** Starts a node afresh, with nothing held.
   * @param blocksMax The node's own page count: it cannot hold more blocks. */
  reset(nodeId: string, blocksMax: number): void {
    this.#blocks.set(nodeId, { hashes: new Set(), blocksMax });
  }

  drop(nodeId: string): void {
    this.#blocks.delete(nodeId);
  }

  /** Removals first: a report may name a block in both, and then the node has it again. */
  apply(nodeId: string, stored: BigUint64Array, removed: BigUint64Array): void {
    const node = this.#blocks.get(nodeId);
    if (node === undefined) return;
    for (const hash of removed) node.hashes.delete(hash);
    for (const hash of stored) {
      node.hashes.delete(hash);
      node.hashes.add(hash);
    }
    for (const hash of node.hashes) {
      if (node.hashes.size <= node.blocksMax) break;
      node.hashes.delete(hash);
    }
  }

  /** @returns How many of the prompt's blocks, from the first on, the node holds without a gap. */
  matched(nodeId: string, hashes: BigUint64Array): number {
    const held = this.#blocks.get(nodeId)?.hashes;
    if (held === undefined || held.size === 0) return 0;
    let count = 0;
    while (count < hashes.length && held.has(hashes[count]!)) ++count;
    return count;
  }

  blockCount(nodeId: string): number {
    return this.#blocks.get(nodeId)?.hashes.size ?? 0;
  }
}
