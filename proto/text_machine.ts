/** Deterministic machines that take texts, several at once, and the grammar of what all of them
 * take. Pure.
 *
 * A pattern that became a grammar as it is would have the answer in many places at once, and its
 * states would be built, with a mask each, while tokens wait. So it is made deterministic here.
 * @module */
import { type CharSet, contains, partition, union } from "./char_set.ts";
import { SchemaError } from "./grammar_builder.ts";
import { type Pattern, PATTERN_END } from "./pattern_parser.ts";

/** Its states are numbers, the first is 0. */
export interface TextMachine {
  /** Sets of characters that it tells apart. */
  sets: readonly CharSet[];
  /** The state after one character more, or nothing where no text goes on so. */
  step(state: number, code: number): number | undefined;
  accepts(state: number): boolean;
}

const STATES_MAX = 4096;
/** Steps of all machines of a schema: what a request may cost. */
const WORK_MAX = 200_000;

/** A bound on work, shared by all texts of one schema. */
export class Work {
  spent = 0;

  spend(amount: number): void {
    this.spent += amount;
    if (this.spent > WORK_MAX) throw new SchemaError("", "it is too large");
  }
}

/** States as they are found, by what they are. */
class Numbered<T> {
  readonly values: T[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(key: string, value: T): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    this.#numbers.set(key, this.values.length);
    return this.values.push(value) - 1;
  }
}

/** A machine whose states are numbers, or objects of simple values in one order. */
export function machineOf<S extends number | object>(
  sets: readonly CharSet[],
  start: S,
  step: (state: S, code: number) => S | undefined,
  accepts: (state: S) => boolean,
): TextMachine {
  const states = new Numbered<S>();
  const numberOf = (state: S) =>
    states.numberOf(typeof state === "number" ? `${state}` : Object.values(state).join(), state);
  numberOf(start);
  return {
    sets,
    step(state, code) {
      const next = step(states.values[state]!, code);
      return next === undefined ? undefined : numberOf(next);
    },
    accepts: (state) => accepts(states.values[state]!),
  };
}

/** Texts of `least` to `most` characters. */
export function lengthMachine(least: number, most: number): TextMachine {
  return machineOf<number>(
    [],
    0,
    (count) => count < most ? Math.min(count + 1, most === Infinity ? least : most) : undefined,
    (count) => count >= least,
  );
}

export function patternMachine(pattern: Pattern, work: Work): TextMachine {
  const { nodes, root, rest, isNegated } = pattern;
  const sets = new Set(nodes.flatMap((node) => node.kind === "char" ? [node.set] : []));
  const states = new Numbered<{ chars: number[]; accepts: boolean }>();
  /** Most characters lead from a state to few others. */
  const known = new Map<string, number>();
  const stateOf = (starts: number[], isStart: boolean): number => {
    const key = starts.join();
    const state = known.get(key);
    if (state !== undefined) return state;
    const found = closure(pattern, starts, isStart, work);
    // All texts go on from there: whatever else might have matched matters no more.
    const chars = found.seen.has(rest) ? closure(pattern, [rest], false, work).chars : found.chars;
    const name = `${found.accepts} ${chars.sort((a, b) => a - b).join()}`;
    const number = states.numberOf(name, { chars, accepts: found.accepts });
    // At the start more is reached than from the same place later.
    if (!isStart) known.set(key, number);
    return number;
  };
  stateOf([root], true);
  return {
    sets: [...sets],
    step(state, code) {
      const { chars } = states.values[state]!;
      work.spend(1 + (chars.length >> 2));
      const starts: number[] = [];
      for (const at of chars) {
        const node = nodes[at]!;
        if (node.kind === "char" && contains(node.set, code)) starts.push(node.next);
      }
      // Of what it forbids, nothing is left: any text will do.
      return starts.length === 0 && !isNegated ? undefined : stateOf(starts, false);
    },
    accepts: (state) => states.values[state]!.accepts !== isNegated,
  };
}

/** All that is reached without a character more. */
function closure(pattern: Pattern, starts: readonly number[], isStart: boolean, work: Work) {
  const { nodes } = pattern;
  const seen = new Set<number>();
  const atEnd: number[] = [];
  const follow = (waiting: number[], isEnd: boolean): void => {
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      if (at === PATTERN_END) continue;
      const node = nodes[at]!;
      if (node.kind === "split") waiting.push(...node.next);
      else if (node.kind === "start" && isStart) waiting.push(node.next);
      else if (node.kind === "end") (isEnd ? waiting : atEnd).push(node.next);
    }
  };
  follow([...starts], false);
  const chars = [...seen].filter((at) => at !== PATTERN_END && nodes[at]!.kind === "char");
  const open = new Set(seen);
  follow(atEnd, true);
  work.spend(seen.size);
  return { chars, seen: open, accepts: seen.has(PATTERN_END) };
}

/** What all of some machines take: by state, the characters to each next one. */
export interface TextGraph {
  edges: ReadonlyMap<number, CharSet>[];
  accepts: boolean[];
}

/** @throws {SchemaError} If there are too many states, or no text is taken. */
export function joinMachines(machines: readonly TextMachine[], work: Work): TextGraph {
  const parts = partition(machines.flatMap(({ sets }) => sets));
  const steps = machines.map((machine) => stepsOf(machine, parts));
  /** One for all edges that have it: a grammar spells it once. */
  const sets = new Map<string, CharSet>();
  const setOf = (members: readonly number[]): CharSet => {
    const key = members.join();
    const set = sets.get(key) ?? union(...members.map((part) => parts[part]!));
    sets.set(key, set);
    return set;
  };
  const states = new Numbered<number[]>();
  states.numberOf(machines.map(() => 0).join(), machines.map(() => 0));
  const edges: Map<number, CharSet>[] = [];
  for (let at = 0; at < states.values.length; at++) {
    if (at >= STATES_MAX) throw new SchemaError("", "it is too large");
    const own = new Map<number, number[]>();
    const from = states.values[at]!;
    for (let part = 0; part < parts.length; part++) {
      work.spend(1);
      const next: number[] = [];
      for (let i = 0; i < steps.length; i++) {
        const to = steps[i]!(from[i]!, part);
        if (to === undefined) break;
        next.push(to);
      }
      if (next.length < steps.length) continue;
      const to = states.numberOf(next.join(), next);
      if (!own.get(to)?.push(part)) own.set(to, [part]);
    }
    edges.push(new Map([...own].map(([to, members]) => [to, setOf(members)])));
  }
  const accepts = states.values.map((state) => machines.every((it, i) => it.accepts(state[i]!)));
  return trimmed({ edges, accepts });
}

/** A machine's steps by the parts of all characters: each is taken once, however many states of
 * other machines it stands beside. */
function stepsOf(machine: TextMachine, parts: readonly CharSet[]) {
  const known = new Map<number, number | undefined>();
  return (state: number, part: number): number | undefined => {
    const key = state * parts.length + part;
    if (!known.has(key)) known.set(key, machine.step(state, parts[part]![0]!));
    return known.get(key);
  };
}

/** Without states from which no text comes to its end. */
function trimmed({ edges, accepts }: TextGraph): TextGraph {
  const before: number[][] = edges.map(() => []);
  edges.forEach((own, from) => own.forEach((_, to) => before[to]!.push(from)));
  const waiting = [...accepts.keys()].filter((state) => accepts[state]);
  const live = new Set<number>();
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (live.has(at)) continue;
    live.add(at);
    waiting.push(...before[at]!);
  }
  if (!live.has(0)) throw new SchemaError("", "no value is valid by it");
  const kept = edges.map((own, from) =>
    new Map([...own].filter(([to]) => live.has(from) && live.has(to)))
  );
  return { edges: kept, accepts };
}
