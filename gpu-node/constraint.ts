/** One constrained answer: where it stands in its grammar. Pure.
 *
 * Which tokens may be drawn depends on every token before, so a constrained sequence is not drafted
 * for: a step draws one token under one mask. Then speculation cannot change it either.
 * @module */
import type { SequenceRequest } from "./engine.ts";
import type { GrammarState } from "./grammar_state.ts";
import type { TokenMasks } from "./token_mask.ts";

export class Constraint {
  #state: GrammarState | undefined;
  #mask: Uint32Array | undefined;

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
