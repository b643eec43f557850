/** Finds stop strings in text that comes in pieces. Pure. @module */

/** One stop string under way (Knuth-Morris-Pratt): linear time whatever the text, so that no stop
 * string is a denial of service. */
interface Matcher {
  stop: string;
  /** For each proper prefix, the length of its longest border. */
  borders: Uint16Array;
  /** How much of `stop` the text seen so far ends with. */
  matched: number;
}

export interface ScannedText {
  /** What may be shown: certainly not part of a stop string. */
  text: string;
  stopped: boolean;
}

/** Holds back what might become a stop string. The answer ends where the first stop string to be
 * complete began, so how the text was cut into pieces changes nothing. */
export class StopScanner {
  readonly #matchers: Matcher[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#matchers = stops.map((stop) => ({ stop, borders: bordersOf(stop), matched: 0 }));
  }

  push(text: string): ScannedText {
    if (this.#matchers.length === 0) return { text, stopped: false };
    const pending = this.#held + text;
    for (let i = this.#held.length; i < pending.length; ++i) {
      const stopLength = this.#advance(pending.charCodeAt(i));
      if (stopLength === 0) continue;
      this.#held = "";
      return { text: pending.slice(0, i + 1 - stopLength), stopped: true };
    }
    let heldLength = 0;
    for (const matcher of this.#matchers) heldLength = Math.max(heldLength, matcher.matched);
    const shown = pending.length - heldLength;
    this.#held = pending.slice(shown);
    return { text: pending.slice(0, shown), stopped: false };
  }

  /** What was held back, at the end of the answer: no stop string came of it. */
  flush(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }

  /** @returns Length of the longest stop string that ends at this character, or 0. */
  #advance(char: number): number {
    let longest = 0;
    for (const matcher of this.#matchers) {
      const { stop, borders } = matcher;
      let matched = matcher.matched;
      while (matched > 0 && stop.charCodeAt(matched) !== char) matched = borders[matched - 1]!;
      if (stop.charCodeAt(matched) === char) ++matched;
      matcher.matched = matched;
      if (matched === stop.length) longest = Math.max(longest, matched);
    }
    return longest;
  }
}

function bordersOf(stop: string): Uint16Array {
  const borders = new Uint16Array(stop.length);
  for (let i = 1; i < stop.length; ++i) {
    let border = borders[i - 1]!;
    while (border > 0 && stop[i] !== stop[border]) border = borders[border - 1]!;
    borders[i] = stop[i] === stop[border] ? border + 1 : 0;
  }
  return borders;
}
