/** Another server of the same model, measured through the API that both speak. @module */
import { PeerError, type PeerSide, type Rates, type Workload } from "./peer_engine.ts";
import type { PeerTurn, SpecPeer } from "./peer_spec.ts";
import { median } from "./stats.ts";

/** A server that says nothing for so long is not waited for. */
const ANSWER_MS_MAX = 600_000;

interface Completion {
  seconds: number;
  /** Until the first token came. */
  firstSeconds: number;
  promptTokens: number;
  tokens: number;
}

export class ServerPeer implements PeerSide, SpecPeer {
  readonly name: string;
  readonly #url: string;
  /** The first that the server lists. */
  #model: string | undefined;
  /** Prompts so far: each begins with its number, so that none is cached. */
  #count = 0;

  /** @param target An OpenAI-compatible base address, with or without `/v1`.
   * @throws {PeerError} If it is no address. */
  constructor(target: string) {
    if (!/^https?:\/\//.test(target)) {
      throw new PeerError(`Cannot measure "${target}": start it as a server and give its address`);
    }
    this.name = target;
    this.#url = target.replace(/\/+$/, "").replace(/(\/v1)?$/, "/v1");
  }

  async warm(): Promise<void> {
    const { text } = await this.#ask("models");
    this.#model = parsed(text)?.data?.[0]?.id;
    if (typeof this.#model !== "string") throw this.#fault("it lists no model", text);
    await this.#complete(this.#text(4), 8);
  }

  /** @throws {PeerError} If the server refuses, or answers with something else. */
  async rates({ prompt, widths, decodeTokens }: Workload): Promise<Rates> {
    const long = await this.#complete(this.#text(prompt.length / 11), 1);
    const batch = new Map<number, number>();
    for (const width of widths) {
      const startedAt = performance.now();
      const runs = await Promise.all(
        Array.from({ length: width }, () => this.#complete(this.#text(1), decodeTokens)),
      );
      const tokens = runs.reduce((sum, run) => sum + run.tokens, 0);
      batch.set(width, tokens / ((performance.now() - startedAt) / 1000));
    }
    return { decode: batch.get(1)!, prompt: long.promptTokens / long.seconds, batch };
  }

  /** Of an answer that stops early, the tokens after the first are taken to go on as fast: what the
   * prompt took does not count twice.
   * @throws {PeerError} If the server takes no tokens for a prompt, or answers something else. */
  async turn(prompt: Uint32Array, count: number, rounds: number): Promise<PeerTurn> {
    const seconds: number[] = [];
    for (let round = 0; round < rounds; ++round) {
      const run = await this.#complete([...prompt], count);
      const more = (count - 1) / Math.max(1, run.tokens - 1);
      seconds.push(run.firstSeconds + more * (run.seconds - run.firstSeconds));
    }
    return { tokens: count, seconds: median(seconds) };
  }

  async close(): Promise<void> {}

  #text(sentences: number): string {
    return `Entry ${this.#count++} of the ledger: ` +
      "the tide comes in, the tide goes out. ".repeat(sentences);
  }

  async #complete(prompt: string | number[], tokensMax: number): Promise<Completion> {
    const startedAt = performance.now();
    const body = {
      ...{ model: this.#model, prompt, max_tokens: tokensMax, temperature: 0 },
      ...{ stream: true, stream_options: { include_usage: true } },
    };
    const { text, firstAt } = await this.#ask("completions", {
      method: "POST",
      headers: { "content-type": "application/json", "cache-control": "no-store" },
      body: JSON.stringify(body),
    });
    const seconds = (performance.now() - startedAt) / 1000;
    const { prompt_tokens: promptTokens, completion_tokens: tokens } = usageOf(text);
    if (!(promptTokens > 0 && tokens > 0)) throw this.#fault("its answer has no usage", text);
    return { seconds, firstSeconds: (firstAt - startedAt) / 1000, promptTokens, tokens };
  }

  /** The body, and when its first bytes came, by `performance.now()`. */
  async #ask(path: string, init: RequestInit = {}): Promise<{ text: string; firstAt: number }> {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX);
    try {
      const response = await fetch(`${this.#url}/${path}`, { ...init, signal });
      let text = "", firstAt: number | undefined;
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        firstAt ??= performance.now();
        text += chunk;
      }
      if (response.ok) return { text, firstAt: firstAt ?? performance.now() };
      throw this.#fault(`it answers ${response.status}`, text);
    } catch (error) {
      if (error instanceof PeerError) throw error;
      throw new PeerError(`Cannot measure ${this.name}: ${(error as Error).message}`);
    }
  }

  #fault(what: string, text: string): PeerError {
    return new PeerError(`Cannot measure ${this.name}: ${what}: ${text.slice(0, 500)}`);
  }
}

/** Of the last event that tells it. */
function usageOf(events: string): { prompt_tokens: number; completion_tokens: number } {
  const told = events.split("\n").filter((line) => line.startsWith("data:"))
    .map((line) => parsed(line.slice(5))?.usage).findLast((usage) => usage);
  return told ?? { prompt_tokens: 0, completion_tokens: 0 };
}

// deno-lint-ignore no-explicit-any -- A stranger's JSON, of which fields are looked for.
function parsed(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
