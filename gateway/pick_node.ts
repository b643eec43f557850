/** Routing: filter the nodes that may take a request, score them, pick one. Pure. @module */

/** What the pick knows of a node. */
export interface NodeView {
  id: string;
  /** Connected, served by this model, not draining, heard from of late, not tried before. */
  usable: boolean;
  /** Its requests have failed of late: only taken where no other is. */
  suspect: boolean;
  slotsMax: number;
  /** Sequences that may be there beside those in slots. */
  queueMax: number;
  /** Sequences on the node: its own latest count, or ours in flight if that is more, because a
   * report is always a little old. */
  activeCount: number;
  /** Share of KV pages in use, in [0, 1]. */
  pagesUsed: number;
  /** Prompt blocks held, without a gap from the first. */
  matchedCount: number;
  /** Requests picked for it so far; breaks ties so that no node is first by position. */
  pickedCount: number;
}

export interface PickOptions {
  blockCount: number;
  random: () => number;
}

const WEIGHT_PREFIX = 1;
const WEIGHT_LOAD = 0.6;
const WEIGHT_PAGES = 0.02;
/** A node may be this much busier than the least busy, in shares of its slots, and still win. */
const LOAD_WINDOW = 1;
/** Now and then another node gets a chance, so that one popular prefix spreads. */
const EXPLORATION = 0.01;
/** Keeps `k / (1 - k)` finite when a node's pages are all in use. */
const PAGES_USED_MOST = 0.98;

export type Pick = { kind: "node"; node: NodeView } | { kind: "full" } | { kind: "none" };

export function pickNode(nodes: readonly NodeView[], options: PickOptions): Pick {
  const usable = nodes.filter((node) => node.usable);
  if (usable.length === 0) return { kind: "none" };
  const room = usable.filter((node) => node.activeCount < node.slotsMax + node.queueMax);
  if (room.length === 0) return { kind: "full" };
  const trusted = room.filter((node) => !node.suspect);
  // Where all are suspect, what fails may be the requests: better a try than none.
  const open = trusted.length > 0 ? trusted : room;
  if (open.length === 1) return { kind: "node", node: open[0]! };
  const loadLeast = Math.min(...open.map(loadOf));
  const near = open.filter((node) => loadOf(node) <= loadLeast + LOAD_WINDOW);
  if (options.random() < EXPLORATION) {
    const index = Math.min(Math.floor(options.random() * near.length), near.length - 1);
    return { kind: "node", node: near[index]! };
  }
  let best = near[0]!;
  let bestScore = scoreOf(best, options.blockCount);
  for (const node of near.slice(1)) {
    const score = scoreOf(node, options.blockCount);
    const tied = Math.abs(score - bestScore) < 1e-9;
    if (tied ? node.pickedCount < best.pickedCount : score > bestScore) {
      best = node;
      bestScore = score;
    }
  }
  return { kind: "node", node: best };
}

function loadOf(node: NodeView): number {
  return node.activeCount / node.slotsMax;
}

/** Higher is better: the share of the prompt that needs no work, less what waiting costs. */
export function scoreOf(node: NodeView, blockCount: number): number {
  const prefix = blockCount === 0 ? 0 : node.matchedCount / blockCount;
  const pages = Math.min(node.pagesUsed, PAGES_USED_MOST);
  return WEIGHT_PREFIX * prefix - WEIGHT_LOAD * loadOf(node) - WEIGHT_PAGES * pages / (1 - pages);
}
