/** What the steps of an answer say of its text: which token came how. Pure. @module */

export interface PackedToken {
  token: number;
  text: string;
  parent: number;
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
  tokens: { text: string; origin: Origin }[];
}

/** Steps kept to look at again; a longer answer forgets its first. */
export const STEPS_MAX = 4096;

/** An answer as it comes. Tokens and steps come in one order, but a step may come before the last
 * of its tokens. */
export class Answer {
  text = "";
  readonly spans: { start: number; end: number; origin: Origin }[] = [];
  readonly steps: ShownStep[] = [];
  tokenCount = 0;
  stepCount = 0;
  readonly #waiting: Step[] = [];
  readonly #tokens: TracedToken[] = [];
  #end = 0;

  push(text: string, steps: readonly Step[], tokens: readonly TracedToken[]): void {
    this.text += text;
    this.#waiting.push(...steps);
    this.#tokens.push(...tokens);
    this.tokenCount += tokens.length;
    this.stepCount += steps.length;
    while (this.#waiting.length > 0 && this.#tokens.length >= this.#waiting[0]!.token_count) {
      this.#take(this.#waiting.shift()!);
    }
  }

  #take(step: Step): void {
    const tokens = this.#tokens.splice(0, step.token_count).map(({ end }, i) => {
      const origin: Origin = i < step.accepted_count ? "draft" : "bonus";
      const span = { start: this.#end, end, origin };
      this.#end = end;
      this.spans.push(span);
      return span;
    });
    const shown = tokens.map(({ start, end, origin }) => ({
      text: this.text.slice(start, end),
      origin,
    }));
    this.steps.push({ ...step, tokens: shown });
    if (this.steps.length > STEPS_MAX) this.steps.shift();
  }

  /** The text in runs of one origin; what no step accounts for yet has none. */
  runs(): { text: string; origin: Origin | undefined }[] {
    const runs: { text: string; origin: Origin | undefined }[] = [];
    for (const { start, end, origin } of this.spans) {
      const text = this.text.slice(start, end);
      const last = runs.at(-1);
      if (last?.origin === origin) last.text += text;
      else runs.push({ text, origin });
    }
    const rest = this.text.slice(this.#end);
    if (rest !== "") runs.push({ text: rest, origin: undefined });
    return runs;
  }
}
