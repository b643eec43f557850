/** Which prompt blocks each node says it holds, or will hold soon. A hint, not proof: nodes compare
 * the tokens. Pure. @module */

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
    this.#add(node, stored);
  }

  /** A request with these blocks goes to the node: it will hold them before it says so, and the
   * next one with the same prefix should not go elsewhere meanwhile. */
  assume(nodeId: string, hashes: BigUint64Array): void {
    const node = this.#blocks.get(nodeId);
    if (node !== undefined) this.#add(node, hashes);
  }

  /** The node says how many of a request's blocks it had: what we thought it had beyond, it has
   * not. Later blocks were computed since, unless the request did not get so far.
   * @param matched What `matched()` gave when the request went there. */
  correct(nodeId: string, hashes: BigUint64Array, matched: number, held: number): void {
    const node = this.#blocks.get(nodeId);
    for (let i = held; i < matched; ++i) node?.hashes.delete(hashes[i]!);
  }

  /** @returns How many of the prompt's blocks, from the first on, the node holds without a gap. */
  matched(nodeId: string, hashes: BigUint64Array): number {
    const held = this.#blocks.get(nodeId)?.hashes;
    if (held === undefined || held.size === 0) return 0;
    let count = 0;
    while (count < hashes.length && held.has(hashes[count]!)) ++count;
    return count;
  }

  #add(node: { hashes: Set<bigint>; blocksMax: number }, hashes: BigUint64Array): void {
    for (const hash of hashes) {
      node.hashes.delete(hash);
      node.hashes.add(hash);
    }
    for (const hash of node.hashes) {
      if (node.hashes.size <= node.blocksMax) break;
      node.hashes.delete(hash);
    }
  }

  blockCount(nodeId: string): number {
    return this.#blocks.get(nodeId)?.hashes.size ?? 0;
  }
}
