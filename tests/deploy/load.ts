/** A steady streaming load whose every answer is known beforehand. @module */
import { readStream } from "../support/sse.ts";

const TEMPLATES = [
  "Name three rivers.",
  "Write a haiku about the sea.",
  "What is 17 plus 25?",
  "Explain why the sky is blue.",
  "List five fruits.",
  "Translate 'good morning' into French.",
];
/** Past the time that the slowest phase may hold a stream. */
const REQUEST_MS_MAX = 120_000;

interface Ask {
  prompt: string;
  temperature: number;
  seed: number;
}

/** Half greedy, half sampled with a seed: either has one right text. */
const ASKS: readonly Ask[] = TEMPLATES.flatMap((prompt, seed) => [
  { prompt, temperature: 0, seed },
  { prompt, temperature: 1, seed },
]);

export interface Phase {
  name: string;
  requests: number;
  failed: string[];
  changed: string[];
  milliseconds: number[];
  /** What the phase did, as it saw it. */
  note: string;
}

export class Load {
  readonly #references = new Map<Ask, string>();

  constructor(
    readonly url: string,
    public key: string,
    readonly model: string,
    readonly tokensMax: number,
  ) {}

  /** Asks everything once, one after the other: the texts that shall be read ever after. */
  async learn(): Promise<void> {
    for (const ask of ASKS) this.#references.set(ask, await this.#stream(ask));
  }

  /** Streams with `clients` at once while `work` runs, and until each has `least` answers. */
  async during(
    name: string,
    clients: number,
    least: number,
    work: () => Promise<string>,
  ): Promise<Phase> {
    const phase: Phase = {
      name,
      requests: 0,
      failed: [],
      changed: [],
      milliseconds: [],
      note: "",
    };
    let working = true;
    const client = async (index: number) => {
      for (let i = 0; working || i < least; ++i) {
        await this.#one(phase, ASKS[(index * 5 + i) % ASKS.length]!);
      }
    };
    const clientsDone = Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
    try {
      phase.note = await work();
    } finally {
      working = false;
      await clientsDone;
    }
    return phase;
  }

  async #one(phase: Phase, ask: Ask): Promise<void> {
    const startedAt = performance.now();
    ++phase.requests;
    try {
      const text = await this.#stream(ask);
      phase.milliseconds.push(performance.now() - startedAt);
      const expected = this.#references.get(ask);
      if (text !== expected) phase.changed.push(`${ask.prompt}: ${text}\n  not: ${expected}`);
    } catch (error) {
      phase.failed.push(error instanceof Error ? error.message : String(error));
    }
  }

  async #stream({ prompt, temperature, seed }: Ask): Promise<string> {
    const response = await fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "cache-control": "no-store",
        authorization: `Bearer ${this.key}`,
      },
      body: JSON.stringify({
        model: this.model,
        messages: [{ role: "user", content: prompt }],
        stream: true,
        temperature,
        seed,
        max_tokens: this.tokensMax,
      }),
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    const { text, done, events } = await readStream(response);
    const reason = events.findLast((event) => event.choices?.[0]?.finish_reason)
      ?.choices[0].finish_reason;
    if (!done || reason === undefined) {
      throw new Error(`Unfinished: ${JSON.stringify(events.at(-1))}`);
    }
    return `${text} [${reason}]`;
  }
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
}

/** The phases as a Markdown table. */
export function phaseTable(phases: readonly Phase[]): string {
  const rows = phases.map(({ name, requests, failed, changed, milliseconds }) => {
    const p50 = percentile(milliseconds, 0.5).toFixed(0);
    const p99 = percentile(milliseconds, 0.99).toFixed(0);
    return `| ${name} | ${requests} | ${failed.length} | ${changed.length} | ${p50} | ${p99} |`;
  });
  return [
    "| phase | requests | failed | changed | p50 ms | p99 ms |",
    "| --- | --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}
