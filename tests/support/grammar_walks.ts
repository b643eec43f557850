/** What a grammar allows, asked and drawn at random. @module */
import { GrammarAutomaton, type GrammarState } from "../../gpu-node/grammar_state.ts";
import { compileSchema } from "../../proto/schema_grammar.ts";

const BYTES_MAX = 2000;
const QUOTE = 0x22;

/** Whether the grammar of a schema allows each text. */
export function accepting(schema: unknown): (text: string) => boolean {
  const { start } = new GrammarAutomaton(compileSchema(schema));
  return (text) => {
    let state: GrammarState | null = start;
    for (const byte of new TextEncoder().encode(text)) state = state?.step(byte) ?? null;
    return state?.accepts ?? false;
  };
}

/** Texts that the grammar of a schema allows; fewer where some come to no end in time. */
export function textsOf(schema: unknown, count: number, random: () => number): string[] {
  const { start } = new GrammarAutomaton(compileSchema(schema));
  const texts: string[] = [];
  for (let walk = 0; walk < count; walk++) {
    const bytes: number[] = [];
    let state = start;
    while (bytes.length < BYTES_MAX && !(state.accepts && random() < 0.4)) {
      const next = nextBytes(state);
      if (next.length === 0) break;
      // Quotes come often, or strings would never end.
      const isClosed = next.includes(QUOTE) && random() < 0.2;
      const byte = isClosed ? QUOTE : next[Math.floor(random() * next.length)]!;
      bytes.push(byte);
      state = state.step(byte)!;
    }
    if (!state.accepts) continue;
    texts.push(new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes)));
  }
  return texts;
}

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const known = new WeakMap<GrammarState, number[]>();

function nextBytes(state: GrammarState): number[] {
  const next = known.get(state) ?? BYTES.filter((byte) => state.step(byte) !== null);
  known.set(state, next);
  return next;
}

/** Chance that is the same in every run. */
export function seeded(seed: number): () => number {
  return () => (seed = seed * 48271 % 2147483647) / 2147483647;
}
