/** One constrained answer: where it stands in its grammar. Pure.
 *
 * Which tokens may be drawn depends on every token before: each packed token of a draft has a mask
 * of its own. So speculation cannot change the answer.
 * @module */
import { type ConstrainedNode, constrainedTree } from "./constrained_tree.ts";
import type { SequenceRequest } from "./engine.ts";
import type { GrammarState } from "./grammar_state.ts";
import type { NextTree } from "./step_plan.ts";
import type { TokenMasks } from "./token_mask.ts";

export class Constraint {
  #state: GrammarState | undefined;
  #mask: Uint32Array | undefined;
  /** How often a forced text came in the tokens that we guessed; to begin with, thrice in four. */
  #forced = { tried: 4, kept: 3 };

  /** @param generated Tokens of the answer that are there already.
   * @throws {SchemaError | SyntaxError} */
  constructor(
    readonly masks: TokenMasks,
    schema: string,
    readonly stops: ReadonlySet<number>,
    generated: Iterable<number>,
  ) {
    this.#state = masks.start(schema);
    for (const token of generated) this.advance(token);
  }

  advance(token: number): void {
    this.#state = this.#state && this.masks.after(this.#state, token);
    this.#mask = undefined;
  }

  /** The tokens that may come next; `undefined` where there is none. */
  get mask(): Uint32Array | undefined {
    if (this.#state === undefined) return undefined;
    this.#mask ??= this.masks.mask(this.#state, this.stops);
    return this.#mask.some((word) => word !== 0) ? this.#mask : undefined;
  }

  /** The tree to verify next; the root alone where a mask would allow nothing. */
  tree(next: NextTree, nodesMax: number, depthMax: number): ConstrainedNode[] {
    if (this.#state === undefined) return [];
    const forcedChance = this.#forced.kept / this.#forced.tried;
    return constrainedTree(this.masks, this.#state, next, { nodesMax, depthMax, forcedChance });
  }

  maskOf(state: GrammarState): Uint32Array {
    return this.masks.mask(state, this.stops);
  }

  /** Takes note of how the grammar's own guesses fared.
   * @param tree What was verified.
   * @param tokens What was drawn. */
  learn(tree: readonly ConstrainedNode[], tokens: readonly number[]): void {
    let at = 0;
    for (const token of tokens) {
      const child = (fits: (node: ConstrainedNode) => boolean) =>
        tree.findIndex((node) => node.parent === at && fits(node));
      if (child(({ isForced }) => isForced) >= 0) {
        this.#forced.tried++;
        if (child((node) => node.isForced && node.token === token) >= 0) this.#forced.kept++;
      }
      at = child((node) => node.token === token);
      if (at < 0) return;
    }
  }
}

/** Gives a request its constraint. */
export type Constrain = (
  schema: string,
  stops: ReadonlySet<number>,
  generated: Uint32Array,
) => Constraint;

/** Or why there is none, though the request asks for one. */
export function constraintOf(
  request: SequenceRequest,
  constrain: Constrain | undefined,
): Constraint | string | undefined {
  const { schema, tokens, generatedCount, stopTokens } = request;
  if (schema === undefined) return undefined;
  if (constrain === undefined) return "Cannot keep schema: this backend applies no masks";
  try {
    const generated = tokens.subarray(tokens.length - generatedCount);
    const constraint = constrain(schema, stopTokens, generated);
    return constraint.mask === undefined ? "Cannot keep schema: no token fits" : constraint;
  } catch (error) {
    return `Cannot keep schema: ${error instanceof Error ? error.message : error}`;
  }
}
