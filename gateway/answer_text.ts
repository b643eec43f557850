/** Tokens in, text to show out: detokenizes, holds back stop strings, keeps log-probabilities in
 * step with the text they belong to. Pure. @module */
import type { TokenLogprobs } from "../proto/frame_types.ts";
import type { TokenText } from "./served_model.ts";
import { StopScanner } from "./stop_scanner.ts";

/** A token's log-probabilities, and where in the answer its text begins. */
export interface LogprobEntry extends TokenLogprobs {
  token: number;
  textStart: number;
}

export interface AnswerPart {
  text: string;
  entries: LogprobEntry[];
  /** Tokens that belong to the answer: all that came, or those up to a stop string's last. */
  tokenCount: number;
  stopped: boolean;
  /** Where in the answer each token's text ends, if that is asked for. */
  ends?: number[];
}

interface PendingEntry extends LogprobEntry {
  textEnd: number;
}

export class AnswerText {
  readonly #tokenText: TokenText;
  readonly #scanner: StopScanner;
  readonly #hasStops: boolean;
  /** Entries whose text is held back, oldest first. */
  #pending: PendingEntry[] = [];
  #decodedLength = 0;
  #shownLength = 0;

  /** @param wantEnds `push()` tells where the text of each token ends. */
  constructor(tokenText: TokenText, stops: readonly string[], readonly wantEnds = false) {
    this.#tokenText = tokenText;
    this.#scanner = new StopScanner(stops);
    this.#hasStops = stops.length > 0;
  }

  /** @param logprobs One a token, or empty. */
  push(tokens: readonly number[], logprobs: readonly TokenLogprobs[]): AnswerPart {
    if (!this.#hasStops && logprobs.length === 0 && !this.wantEnds) {
      const text = this.#tokenText.push(Uint32Array.from(tokens));
      this.#decodedLength += text.length;
      this.#shownLength += text.length;
      return { text, entries: [], tokenCount: tokens.length, stopped: false };
    }
    // One by one: it must be known which token completed a stop string, and where each begins.
    let shown = "";
    const ends: number[] = [];
    const more = this.wantEnds ? { ends } : {};
    for (let i = 0; i < tokens.length; ++i) {
      const textStart = this.#decodedLength;
      const decoded = this.#tokenText.push(Uint32Array.of(tokens[i]!));
      ends.push(this.#decodedLength += decoded.length);
      if (logprobs.length > 0) {
        const token = tokens[i]!;
        const textEnd = this.#decodedLength;
        this.#pending.push({ ...logprobs[i]!, token, textStart, textEnd });
      }
      const scanned = this.#scanner.push(decoded);
      shown += scanned.text;
      this.#shownLength += scanned.text.length;
      if (scanned.stopped) {
        return { text: shown, entries: this.#cut(), tokenCount: i + 1, stopped: true, ...more };
      }
    }
    const entries = this.#release();
    return { text: shown, entries, tokenCount: tokens.length, stopped: false, ...more };
  }

  /** The rest, when the node says that the answer is over. */
  flush(): AnswerPart {
    const scanned = this.#scanner.push(this.#tokenText.flush());
    const text = scanned.stopped ? scanned.text : scanned.text + this.#scanner.flush();
    this.#shownLength += text.length;
    const entries = this.#pending;
    this.#pending = [];
    return { text, entries, tokenCount: 0, stopped: scanned.stopped };
  }

  free(): void {
    this.#tokenText.free();
  }

  #release(): LogprobEntry[] {
    let count = 0;
    while (count < this.#pending.length && this.#pending[count]!.textEnd <= this.#shownLength) {
      ++count;
    }
    return this.#pending.splice(0, count);
  }

  /** At a stop string: a token of which nothing is shown is not part of the answer. */
  #cut(): LogprobEntry[] {
    const shown = this.#pending.filter((entry) => entry.textStart < this.#shownLength);
    this.#pending = [];
    return shown;
  }
}
