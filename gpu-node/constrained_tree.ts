/** The tree that is verified for a constrained sequence: of what the engine drafted, the paths that
 * the grammar allows; and wherever the grammar leaves but one text, that text. Pure.
 *
 * A draw at each packed token obeys the mask that it would obey if it came alone, so the tree
 * changes speed and never the answer.
 * @module */

import { ABI } from "./abi.ts";
import type { GrammarState } from "./grammar_state.ts";
import type { NextTree } from "./step_plan.ts";
import type { TokenMasks } from "./token_mask.ts";

export interface ConstrainedNode {
  token: number;
  /** Index of an earlier one; -1 at the root. */
  parent: number;
  /** Log of the chance that the path to it is accepted. */
  logprob: number;
  /** The grammar after it. */
  state: GrammarState;
  /** The grammar's own guess rather than the engine's alone. */
  isForced: boolean;
}

export interface TreeBounds {
  /** Packed tokens, root included. */
  nodesMax: number;
  /** Tokens of the longest path, root not counted. */
  depthMax: number;
  /** How often a forced text comes in the tokens that we guess. */
  forcedChance: number;
}

/** Bytes of a forced text that are looked ahead: more than any token has. */
const FORCED_BYTES_MAX = 32;
/** Masks that one tree may make; each is kept for as long as its grammar. */
const FRESH_MASKS_MAX = 4;
/** Of states with one way on, whose masks take a hundredth of the others' time. */
const FRESH_FORCED_MAX = 16;

/** @param next What the engine drafted: its pending token first.
 * @returns In falling order of chance, parents before children; the root alone at least. */
export function constrainedTree(
  masks: TokenMasks,
  start: GrammarState,
  next: NextTree,
  bounds: TreeBounds,
): ConstrainedNode[] {
  const root = { token: next.tokens[0], parent: -1, logprob: 0, state: start, isForced: false };
  const nodes: ConstrainedNode[] = [root];
  const depths = [0];
  const add = (node: ConstrainedNode): void => {
    nodes.push(node);
    depths.push(depths[node.parent] + 1);
  };
  const placeOf = [0];
  for (let i = 1; i < next.tokens.length; i++) {
    const parent = placeOf[next.parents[i]];
    const logprob = next.logprobs[i];
    placeOf.push(-1);
    if (parent < 0 || depths[parent] >= bounds.depthMax || !(logprob > -Infinity)) continue;
    const state = masks.after(nodes[parent].state, next.tokens[i]);
    if (state === undefined) continue;
    placeOf[i] = nodes.length;
    add({ token: next.tokens[i], parent, logprob, state, isForced: false });
  }
  for (let i = 0; i < nodes.length && nodes.length < ABI.treeTokensMax; i++) {
    if (depths[i] >= bounds.depthMax) continue;
    const guess = forcedToken(masks, nodes[i].state);
    if (guess === undefined) continue;
    const logprob = nodes[i].logprob + Math.log(bounds.forcedChance);
    const known = nodes.find(({ parent, token }) => parent === i && token === guess.token);
    if (known === undefined) add({ ...guess, parent: i, logprob, isForced: true });
    else Object.assign(known, { isForced: true, logprob: Math.max(known.logprob, logprob) });
  }
  return choose(nodes, bounds.nodesMax);
}

/** The longest token with which the text goes on that alone the grammar allows. */
function forcedToken(
  masks: TokenMasks,
  state: GrammarState,
): { token: number; state: GrammarState } | undefined {
  const bytes: number[] = [];
  let at: GrammarState | null = state;
  while (at?.forcedByte !== undefined && bytes.length < FORCED_BYTES_MAX) {
    bytes.push(at.forcedByte);
    at = at.step(at.forcedByte);
  }
  const token = masks.longestToken(bytes);
  const after = token === undefined ? undefined : masks.after(state, token);
  return token === undefined || after === undefined ? undefined : { token, state: after };
}

/** The likeliest, in order, as far as their masks are there or may be made. */
function choose(nodes: readonly ConstrainedNode[], nodesMax: number): ConstrainedNode[] {
  // Stable, and no child is likelier than its parent, so parents stay before their children.
  const order = nodes.map((_, i) => i).sort((a, b) => nodes[b].logprob - nodes[a].logprob);
  const placeOf = new Map<number, number>([[-1, -1]]);
  const chosen: ConstrainedNode[] = [];
  let [fresh, freshForced] = [0, 0];
  for (const i of order) {
    const node = nodes[i];
    const parent = placeOf.get(node.parent);
    if (parent === undefined || chosen.length >= Math.max(1, nodesMax)) continue;
    if (chosen.length > 0 && !node.state.hasMask) {
      const isForced = node.state.forcedByte !== undefined;
      if (isForced ? ++freshForced > FRESH_FORCED_MAX : ++fresh > FRESH_MASKS_MAX) continue;
    }
    placeOf.set(i, chosen.length);
    chosen.push({ ...node, parent });
  }
  return chosen;
}

/** Tokens of the longest path, root not counted. */
export function treeDepth(nodes: readonly ConstrainedNode[]): number {
  const depths: number[] = [];
  for (const { parent } of nodes) depths.push(parent < 0 ? 0 : depths[parent] + 1);
  return Math.max(...depths);
}
