/** What the steps of an answer say of its text: which token came how. Pure. @module */

export interface PackedToken {
  token: number;
  text: string;
  parent: number;
  /** Of the whole path to it, given the root. */
  logprob: number;
  accepted: boolean;
}

export interface Step {
  token_count: number;
  drafted_count: number;
  accepted_count: number;
  tree: PackedToken[];
}

export interface TracedToken {
  token: number;
  /** Where in the answer its text ends. */
  end: number;
}

export type Origin = "draft" | "bonus";

/** One step with the tokens that it brought. */
export interface ShownStep extends Step {
  tokens: { start: number; end: number; origin: Origin }[];
}

/** Neighbouring tokens of one step and one origin; what no step accounts for yet has none. */
export interface Run {
  text: string;
  origin: Origin | undefined;
  step: number | undefined;
}

/** An answer as it comes. Tokens and steps come in one order, but a step may come before the last
 * of its tokens. It grows to what the request's `max_tokens` allows, and no further. */
export class Answer {
  text = "";
  /** Token ids, to compare two answers by. */
  readonly ids: number[] = [];
  readonly steps: ShownStep[] = [];
  readonly #waiting: Step[] = [];
  readonly #tokens: TracedToken[] = [];
  readonly #runs: Run[] = [];
  #end = 0;

  get tokenCount(): number {
    return this.ids.length;
  }

  push(text: string, steps: readonly Step[], tokens: readonly TracedToken[]): void {
    this.text += text;
    for (const { token } of tokens) this.ids.push(token);
    this.#waiting.push(...steps);
    this.#tokens.push(...tokens);
    while (this.#isWhole(this.#waiting[0])) this.#take(this.#waiting.shift()!);
  }

  /** All its tokens have come, and all their text: a gateway may hold some back. */
  #isWhole(step: Step | undefined): boolean {
    if (step === undefined || this.#tokens.length < step.token_count) return false;
    return (this.#tokens[step.token_count - 1]?.end ?? 0) <= this.text.length;
  }

  #take(step: Step): void {
    const index = this.steps.length;
    const tokens = this.#tokens.splice(0, step.token_count).map(({ end }, i) => {
      const origin: Origin = i < step.accepted_count ? "draft" : "bonus";
      const start = this.#end;
      this.#end = end;
      const text = this.text.slice(start, end);
      const last = this.#runs.at(-1);
      if (last?.origin === origin && last.step === index) last.text += text;
      else this.#runs.push({ text, origin, step: index });
      return { start, end, origin };
    });
    this.steps.push({ ...step, tokens });
  }

  /** The text in runs; of a run that has a step, nothing changes any more. */
  runs(): Run[] {
    const text = this.text.slice(this.#end);
    const rest = { text, origin: undefined, step: undefined };
    return text === "" ? [...this.#runs] : [...this.#runs, rest];
  }
}
