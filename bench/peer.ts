/** Another server of the same model, measured through the API that both speak. @module */
import { median, round4 } from "./stats.ts";

export interface PeerOptions {
  model: string;
  threads: number;
  promptTokens: number;
  decodeTokens: number;
  widths: readonly number[];
}

export interface PeerFigures {
  name: string;
  decode_tokens_per_second: number;
  prompt_tokens_per_second: number;
  batch_tokens_per_second: Record<string, number>;
}

/** The peer did not do what was asked of it. */
export class PeerError extends Error {
  override readonly name = "PeerError";
}

interface Completion {
  seconds: number;
  promptTokens: number;
  tokens: number;
}

const ROUNDS = 3;

async function complete(url: string, prompt: string, tokensMax: number): Promise<Completion> {
  const startedAt = performance.now();
  const response = await fetch(`${url}/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({ prompt, max_tokens: tokensMax, temperature: 0, cache_prompt: false }),
  });
  const body = await response.json();
  if (!response.ok) throw new PeerError(`Cannot measure ${url}: ${JSON.stringify(body.error)}`);
  return {
    seconds: (performance.now() - startedAt) / 1000,
    promptTokens: body.usage.prompt_tokens,
    tokens: body.usage.completion_tokens,
  };
}

/** Measures a server at `target`, an OpenAI-compatible base address.
 * @throws {PeerError} If it answers with an error. */
export async function measurePeer(target: string, options: PeerOptions): Promise<PeerFigures> {
  if (!/^https?:\/\//.test(target)) {
    throw new PeerError(`Cannot measure ${target}: start it as a server and give its address`);
  }
  const url = target.replace(/\/+$/, "").replace(/(\/v1)?$/, "/v1");
  const sentence = "the tide comes in, the tide goes out. ";
  const long = (index: number) => `Entry ${index}: ${sentence.repeat(options.promptTokens / 11)}`;
  const short = (index: number) => `Entry ${index} of the ledger: ${sentence}`;
  await complete(url, short(0), 8); // Warm-up.
  const promptRates: number[] = [];
  const rates = new Map<number, number[]>(options.widths.map((width) => [width, []]));
  for (let round = 0; round < ROUNDS; ++round) {
    const prompt = await complete(url, long(round), 1);
    promptRates.push(prompt.promptTokens / prompt.seconds);
    for (const width of options.widths) {
      const startedAt = performance.now();
      const runs = await Promise.all(
        Array.from(
          { length: width },
          (_, index) => complete(url, short(1000 * round + index), options.decodeTokens),
        ),
      );
      const tokens = runs.reduce((sum, run) => sum + run.tokens, 0);
      rates.get(width)!.push(tokens / ((performance.now() - startedAt) / 1000));
    }
  }
  const batch = Object.fromEntries(
    options.widths.map((width) => [String(width), round4(median(rates.get(width)!))]),
  );
  return {
    name: target,
    decode_tokens_per_second: batch["1"],
    prompt_tokens_per_second: round4(median(promptRates)),
    batch_tokens_per_second: batch,
  };
}
