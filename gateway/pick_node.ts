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
  /** Prompt tokens that its sequences have not computed yet. */
  contextTokensWaiting: number;
  /** Tokens that a step gains for a sequence, as the node measures it: nodes are not equal. */
  tokensPerStep: number;
  /** Share of KV pages in use, in [0, 1]. */
  pagesUsed: number;
  /** Prompt blocks held, without a gap from the first. */
  matchedCount: number;
  /** Requests picked for it so far; breaks ties so that no node is first by position. */
  pickedCount: number;
}

export interface PickOptions {
  blockCount: number;
  /** Requests of one session go to one node, other things being nearly equal. */
  session?: string;
  random: () => number;
}

const WEIGHT_PREFIX = 1;
const WEIGHT_LOAD = 0.6;
/** Past its slots a node makes requests wait for a whole other one: while another node has a slot
 * free, no prefix is worth that. */
const PENALTY_WAITING = WEIGHT_PREFIX;
const WEIGHT_PAGES = 0.02;
const WEIGHT_SESSION = 0.25;
/** Computing so many prompt tokens keeps a node about as busy as a sequence does. */
const CONTEXT_TOKENS_PER_SEQUENCE = 512;
const TOKENS_PER_STEP_MOST = 8;
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
    // Where nobody has to wait for it.
    const idle = near.filter((node) => node.activeCount < node.slotsMax);
    const chosen = idle[Math.floor(options.random() * idle.length)];
    if (chosen !== undefined) return { kind: "node", node: chosen };
  }
  const home = options.session === undefined ? undefined : homeOf(near, options.session);
  const scored = (node: NodeView) =>
    scoreOf(node, options.blockCount) + (node === home ? WEIGHT_SESSION : 0);
  let best = near[0]!;
  let bestScore = scored(best);
  for (const node of near.slice(1)) {
    const score = scored(node);
    const tied = Math.abs(score - bestScore) < 1e-9;
    if (tied ? node.pickedCount < best.pickedCount : score > bestScore) {
      best = node;
      bestScore = score;
    }
  }
  return { kind: "node", node: best };
}

/** In shares of its slots, as a node without drafts would feel it. */
function loadOf(node: NodeView): number {
  const sequences = node.activeCount + node.contextTokensWaiting / CONTEXT_TOKENS_PER_SEQUENCE;
  const speed = Math.min(Math.max(node.tokensPerStep, 1), TOKENS_PER_STEP_MOST);
  return sequences / (node.slotsMax * speed);
}

/** Rendezvous hashing: a node that comes or goes moves its own sessions alone. */
function homeOf(nodes: readonly NodeView[], session: string): NodeView {
  let home = nodes[0]!;
  let highest = -1;
  for (const node of nodes) {
    const rank = fnv1a(`${session}\n${node.id}`);
    if (rank > highest) [home, highest] = [node, rank];
  }
  return home;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; ++i) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  // Names that differ in their last character only must not end up side by side.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Higher is better: the share of the prompt that needs no work, less what waiting costs. */
export function scoreOf(node: NodeView, blockCount: number): number {
  const prefix = blockCount === 0 ? 0 : node.matchedCount / blockCount;
  const pages = Math.min(node.pagesUsed, PAGES_USED_MOST);
  const load = loadOf(node);
  const waiting = node.activeCount < node.slotsMax ? 0 : PENALTY_WAITING;
  return WEIGHT_PREFIX * prefix - WEIGHT_LOAD * load - waiting - WEIGHT_PAGES * pages / (1 - pages);
}
