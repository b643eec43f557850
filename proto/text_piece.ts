/** What machines of texts take, as a piece of a grammar: a string's inside as JSON spells it. Pure.
 * @module */
import { ANY_CHAR, type CharSet, complement, contains, pairs, utf8Ranges } from "./char_set.ts";
import type { GrammarBuilder, GrammarNode, Piece } from "./grammar_builder.ts";
import type { TextGraph } from "./text_machine.ts";

/** The graph as a grammar, characters spelled as in a JSON string. */
export function graphPiece(builder: GrammarBuilder, { edges, accepts }: TextGraph): Piece {
  return (end) => {
    const splits = new Map<number, { node: GrammarNode & { kind: "split" }; at: number }>();
    const splitOf = (state: number) => {
      const node = { kind: "split" as const, next: [] as number[] };
      const split = splits.get(state) ?? { node, at: builder.add(node) };
      splits.set(state, split);
      return split;
    };
    const pieces = new Map<CharSet, Piece>();
    const pieceOf = (set: CharSet): Piece => {
      const piece = pieces.get(set) ?? charOf(builder, set);
      pieces.set(set, piece);
      return piece;
    };
    // From the last state to the first: what follows is there first, as a grammar's end is.
    for (let state = edges.length - 1; state >= 0; state--) {
      const own = edges[state]!;
      if (own.size === 0 && !accepts[state]) continue;
      const isFree = accepts[state] && isAll(own.get(state));
      const next = isFree
        // In the words of a free string, which need no walk through the vocabulary.
        ? [builder.star(builder.char())(end)]
        : [...own].map(([to, set]) => pieceOf(set)(splitOf(to).at));
      if (accepts[state] && !isFree) next.push(end);
      splitOf(state).node.next = next;
    }
    return splitOf(0).at;
  };
}

function isAll(set: CharSet | undefined): boolean {
  return set !== undefined && set.length === ANY_CHAR.length &&
    set.every((code, i) => code === ANY_CHAR[i]);
}

const SHORT_ESCAPES = new Map(
  [...'\b\t\n\f\r"\\'].map((char) => [char.charCodeAt(0), JSON.stringify(char).slice(1, -1)]),
);

/** All characters but the unusual ones. */
const USUAL = pairs(complement([0, 0x1f, 0x22, 0x22, 0x5c, 0x5c, 0x7f, 0x7f, 0x2028, 0x2029]));

/** Where the range ends that a character of the set is in. */
function rangeEnd(set: CharSet, code: number): number {
  return pairs(set).find(([, high]) => high >= code)![1];
}

/** One character of a set, in the one spelling that JSON's writers choose. */
function charOf(builder: GrammarBuilder, set: CharSet): Piece {
  const [low, high] = set;
  const isPlain = (code: number) => code >= 0x20 && code < 0x7f && !SHORT_ESCAPES.has(code);
  if (set.length === 2 && low === high && isPlain(low!)) return builder.range(low!);
  const name = `chars ${set.join()}`;
  if (USUAL.every(([from, to]) => contains(set, from) && rangeEnd(set, from) >= to)) {
    builder.charRules.add(name);
  }
  return builder.call(name, () => {
    const pieces: Piece[] = [];
    for (const [from, to] of pairs(set)) {
      let start = from;
      for (let code = from; code <= Math.min(to, 0x7f); code++) {
        if (isPlain(code)) continue;
        if (code > start) pieces.push(builder.range(start, code - 1));
        const hex = `\\u00${code.toString(16).padStart(2, "0")}`;
        pieces.push(builder.literal(SHORT_ESCAPES.get(code) ?? hex));
        start = code + 1;
      }
      if (start > to) continue;
      for (const bytes of utf8Ranges(start, to)) {
        pieces.push(builder.seq(...bytes.map(([a, b]) => builder.range(a, b))));
      }
    }
    return builder.alt(...pieces);
  });
}
