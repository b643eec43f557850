/** A grammar being followed: an automaton over bytes that is built as far as answers go. Pure.
 * @module */
import { type Grammar, GRAMMAR_END } from "../proto/schema_grammar.ts";

/** Where a rule goes on once the one it called has ended. */
interface Frame {
  id: number;
  next: number;
  below: Frame | undefined;
}

interface Place {
  node: number;
  frame: Frame | undefined;
}

/** States kept; past them all are built anew, which costs time alone. */
const STATES_MAX = 4096;

const QUOTE = 0x22;

/** All places where the grammar may be after some bytes. */
export class GrammarState {
  readonly #steps: (GrammarState | null | undefined)[] = new Array(256);
  /** `null` until it is asked for. */
  #forced: number | null | undefined = null;
  /** Made by `token_mask.ts`, which alone knows tokens. */
  mask: Uint32Array | undefined;

  constructor(
    readonly automaton: GrammarAutomaton,
    readonly places: readonly Place[],
    /** The answer may end here. */
    readonly accepts: boolean,
  ) {}

  /** Any character of a string may come. */
  get takesChars(): boolean {
    const { charNodes } = this.automaton.grammar;
    return this.places.some(({ node }) => charNodes.has(node));
  }

  /** Nothing else may, but the string's end. */
  get takesCharsAlone(): boolean {
    const { charNodes, nodes } = this.automaton.grammar;
    return this.places.every(({ node }) => {
      if (charNodes.has(node)) return true;
      const at = nodes[node]!;
      return at.kind === "bytes" && at.low === QUOTE && at.high === QUOTE;
    });
  }

  /** What remains of it if nothing but such characters comes; `null` where none may. */
  get ofChars(): GrammarState | null {
    const { charNodes } = this.automaton.grammar;
    const places = this.places.filter(({ node }) => charNodes.has(node));
    return places.length === 0 ? null : this.automaton.stateOf(places);
  }

  get hasMask(): boolean {
    return this.mask !== undefined;
  }

  /** The only byte with which it can go on; `undefined` where there are several, or it may end. */
  get forcedByte(): number | undefined {
    if (this.#forced === null) this.#forced = this.#onlyByte();
    return this.#forced;
  }

  #onlyByte(): number | undefined {
    if (this.accepts) return undefined;
    const { nodes } = this.automaton.grammar;
    let only: number | undefined;
    for (const { node } of this.places) {
      const bytes = nodes[node]!;
      if (bytes.kind !== "bytes" || bytes.low !== bytes.high) return undefined;
      if (only !== undefined && only !== bytes.low) return undefined;
      only = bytes.low;
    }
    return only;
  }

  /** After one byte more; `null` where the grammar has none such. */
  step(byte: number): GrammarState | null {
    const known = this.#steps[byte];
    if (known !== undefined) return known;
    const { nodes } = this.automaton.grammar;
    const starts: Place[] = [];
    for (const { node, frame } of this.places) {
      const bytes = nodes[node]!;
      if (bytes.kind !== "bytes" || byte < bytes.low || byte > bytes.high) continue;
      starts.push({ node: bytes.next, frame });
    }
    return this.#steps[byte] = starts.length === 0 ? null : this.automaton.stateOf(starts);
  }
}

export class GrammarAutomaton {
  #states = new Map<string, GrammarState>();
  #frames = new Map<string, Frame>();
  #frameLast = 0;

  constructor(readonly grammar: Grammar) {}

  get start(): GrammarState {
    return this.stateOf([{ node: this.grammar.rules[this.grammar.root]!, frame: undefined }]);
  }

  stateOf(starts: readonly Place[]): GrammarState {
    if (this.#states.size >= STATES_MAX) {
      this.#states.clear();
      this.#frames.clear();
    }
    const places = new Map<string, Place>();
    const seen = new Set<string>();
    const waiting = [...starts];
    let accepts = false;
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      const { node, frame } = place;
      const key = `${node}/${frame?.id ?? 0}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (node === GRAMMAR_END) {
        if (frame === undefined) accepts = true;
        else waiting.push({ node: frame.next, frame: frame.below });
        continue;
      }
      const at = this.grammar.nodes[node]!;
      if (at.kind === "bytes") places.set(key, place);
      else if (at.kind === "split") waiting.push(...at.next.map((next) => ({ node: next, frame })));
      else waiting.push(this.#called(at.rule, at.next, frame));
    }
    const key = `${accepts} ${[...places.keys()].sort().join(" ")}`;
    const known = this.#states.get(key);
    if (known !== undefined) return known;
    const state = new GrammarState(this, [...places.values()], accepts);
    this.#states.set(key, state);
    return state;
  }

  #called(rule: number, next: number, below: Frame | undefined): Place {
    const node = this.grammar.rules[rule]!;
    // A rule that ends where its caller does goes on where the caller would have.
    if (next === GRAMMAR_END) return { node, frame: below };
    const key = `${next}/${below?.id ?? 0}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = { id: ++this.#frameLast, next, below };
      this.#frames.set(key, frame);
    }
    return { node, frame };
  }
}
