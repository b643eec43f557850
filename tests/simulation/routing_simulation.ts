/** A fleet in virtual time, to compare how requests are routed: nodes with slots, a step that
 * serves all of them, and a bounded cache of prompt blocks. Deterministic from its seed. @module */
import { pickNode } from "../../gateway/pick_node.ts";
import { PrefixIndex } from "../../gateway/prefix_index.ts";

export type Policy = "ours" | "random" | "round robin" | "least load";

export interface Trace {
  requests: ReadonlyArray<{ at: number; blocks: BigUint64Array; decodeTokens: number }>;
}

export interface Outcome {
  /** Sorted, in milliseconds. */
  firstTokens: number[];
  hitShare: number;
}

const BLOCK_TOKENS = 16;
const SLOTS_MAX = 8;
const BLOCKS_MAX = 600;
const REPORT_MS = 200;
/** A node computes this many prompt tokens a millisecond, and a decode step takes so long. */
const CONTEXT_TOKENS_PER_MS = 4;
const STEP_MS = 12;

interface Running {
  request: Trace["requests"][number];
  contextTokens: number;
  decodeTokens: number;
  firstAt: number | undefined;
}

class SimulatedNode {
  readonly running: Running[] = [];
  readonly waiting: Running[] = [];
  /** Insertion order is use. */
  readonly held = new Set<bigint>();
  readonly stored: bigint[] = [];
  readonly removed: bigint[] = [];
  pickedCount = 0;
  now = 0;
  hitBlocks = 0;

  get activeCount(): number {
    return this.running.length + this.waiting.length;
  }

  get contextTokensWaiting(): number {
    const all = [...this.running, ...this.waiting];
    return all.reduce((sum, { contextTokens }) => sum + contextTokens, 0);
  }

  submit(request: Trace["requests"][number]): void {
    const { blocks, decodeTokens } = request;
    const contextTokens = blocks.length * BLOCK_TOKENS;
    this.waiting.push({ request, contextTokens, decodeTokens, firstAt: undefined });
  }

  /** Steps until `end`: each computes some prompt tokens of one, and a token of each other. */
  advance(end: number, onFirst: (latencyMs: number) => void): void {
    while (this.now < end) {
      while (this.running.length < SLOTS_MAX && this.waiting.length > 0) {
        this.#admit(this.waiting.shift()!);
      }
      if (this.running.length === 0) {
        this.now = end;
        return;
      }
      this.now += STEP_MS;
      let budget = STEP_MS * CONTEXT_TOKENS_PER_MS;
      for (const each of [...this.running]) {
        if (each.contextTokens > 0) {
          const taken = Math.min(budget, each.contextTokens);
          each.contextTokens -= taken;
          budget -= taken;
          if (each.contextTokens === 0) this.#store(each.request.blocks);
          continue;
        }
        if (each.firstAt === undefined) onFirst((each.firstAt = this.now) - each.request.at);
        if (--each.decodeTokens <= 0) this.running.splice(this.running.indexOf(each), 1);
      }
    }
  }

  #admit(each: Running): void {
    const { blocks } = each.request;
    let matched = 0;
    while (matched < blocks.length && this.held.has(blocks[matched]!)) ++matched;
    this.hitBlocks += matched;
    each.contextTokens = Math.max(1, (blocks.length - matched) * BLOCK_TOKENS);
    this.running.push(each);
  }

  #store(blocks: BigUint64Array): void {
    for (const block of blocks) {
      if (!this.held.delete(block)) this.stored.push(block);
      this.held.add(block);
    }
    for (const block of this.held) {
      if (this.held.size <= BLOCKS_MAX) break;
      this.held.delete(block);
      this.removed.push(block);
    }
  }
}

/** Some prompts of many blocks, asked again and again with endings of their own: what retrieval and
 * agents look like. */
export function sharedPrefixTrace(random: () => number, count: number, everyMs: number): Trace {
  const prefixes = Array.from({ length: 24 }, (_, p) => {
    const length = 20 + Math.floor(random() * 60);
    return Array.from({ length }, (_, i) => BigInt(p * 1000 + i + 1));
  });
  let at = 0;
  const requests = Array.from({ length: count }, (_, r) => {
    at += -Math.log(1 - random()) * everyMs;
    // A few prefixes are asked for far more often than the rest.
    const prefix = prefixes[Math.floor(random() ** 2 * prefixes.length)]!;
    const own = Array.from(
      { length: 1 + Math.floor(random() * 4) },
      (_, i) => BigInt(1_000_000 + r * 10 + i),
    );
    const decodeTokens = 8 + Math.floor(random() * 40);
    return { at, blocks: BigUint64Array.from([...prefix, ...own]), decodeTokens };
  });
  return { requests };
}

export function simulate(
  trace: Trace,
  policy: Policy,
  nodeCount: number,
  random: () => number,
): Outcome {
  const nodes = Array.from({ length: nodeCount }, () => new SimulatedNode());
  const index = new PrefixIndex();
  nodes.forEach((_, i) => index.reset(String(i), BLOCKS_MAX));
  const firstTokens: number[] = [];
  let reportedAt = 0, blockCount = 0, turn = 0;
  const views = (blocks: BigUint64Array) =>
    nodes.map((node, i) => ({
      id: String(i),
      usable: true,
      suspect: false,
      slotsMax: SLOTS_MAX,
      queueMax: 1000,
      activeCount: node.activeCount,
      contextTokensWaiting: node.contextTokensWaiting,
      tokensPerStep: 1,
      pagesUsed: 0,
      matchedCount: index.matched(String(i), blocks),
      pickedCount: node.pickedCount,
    }));
  const choose = (blocks: BigUint64Array): number => {
    if (policy === "random") return Math.floor(random() * nodeCount);
    if (policy === "round robin") return turn++ % nodeCount;
    if (policy === "least load") {
      const loads = nodes.map((node) => node.activeCount);
      return loads.indexOf(Math.min(...loads));
    }
    const pick = pickNode(views(blocks), { blockCount: blocks.length, random });
    return pick.kind === "node" ? Number(pick.node.id) : 0;
  };
  const advance = (end: number) => {
    for (const node of nodes) node.advance(end, (latency) => firstTokens.push(latency));
    if (end - reportedAt < REPORT_MS) return;
    reportedAt = end;
    nodes.forEach((node, i) => {
      const stored = BigUint64Array.from(node.stored.splice(0));
      index.apply(String(i), stored, BigUint64Array.from(node.removed.splice(0)));
    });
  };
  for (const request of trace.requests) {
    advance(request.at);
    const chosen = choose(request.blocks);
    blockCount += request.blocks.length;
    index.assume(String(chosen), request.blocks);
    ++nodes[chosen]!.pickedCount;
    nodes[chosen]!.submit(request);
  }
  advance(trace.requests.at(-1)!.at + 1e7);
  firstTokens.sort((a, b) => a - b);
  const hits = nodes.reduce((sum, node) => sum + node.hitBlocks, 0);
  return { firstTokens, hitShare: hits / blockCount };
}
