/** What `bench engine` measures, of a peer: the same counts, in rounds between ours. @module */
import type { LlamaPeer } from "./peer_llama.ts";
import { median, medianFigures, round4 } from "./stats.ts";

/** Tokens per second of one round. */
export interface Rates {
  decode: number;
  prompt: number;
  /** By how many sequences are decoded together. */
  batch: ReadonlyMap<number, number>;
}

export interface Workload {
  prompt: Uint32Array;
  /** Short prompts, as many as the widest batch has sequences. */
  starts: readonly Uint32Array[];
  /** One of them is 1. */
  widths: readonly number[];
  decodeTokens: number;
}

/** The peer did not do what was asked of it. */
export class PeerError extends Error {
  override readonly name = "PeerError";
}

/** The other side of a comparison. */
export interface PeerSide {
  readonly name: string;
  warm(workload: Workload): Promise<unknown>;
  rates(workload: Workload): Promise<Rates>;
  close(): Promise<void>;
}

export interface PeerReport {
  peer: {
    name: string;
    decode_tokens_per_second: number;
    prompt_tokens_per_second: number;
    batch_tokens_per_second: Record<string, number>;
  };
  /** Ours over the peer's, medians over rounds. */
  peer_ratio: Record<string, unknown>;
}

export function llamaSide(llama: LlamaPeer): PeerSide {
  return {
    name: llama.name,
    warm: ({ starts, decodeTokens }) => llama.decodeSeconds(starts.slice(0, 1), decodeTokens),
    rates: (workload) => llamaRates(llama, workload),
    close: () => llama.close(),
  };
}

async function llamaRates(llama: LlamaPeer, workload: Workload): Promise<Rates> {
  const { prompt, starts, widths, decodeTokens } = workload;
  const promptSeconds = await llama.promptSeconds(prompt);
  const batch = new Map<number, number>();
  for (const width of widths) {
    const seconds = await llama.decodeSeconds(starts.slice(0, width), decodeTokens);
    batch.set(width, width * (decodeTokens - 1) / seconds);
  }
  return { decode: batch.get(1)!, prompt: prompt.length / promptSeconds, batch };
}

/** The peer's rates, and ours over them: round by round, since both sides of a round shared the
 * machine's mood. */
export function compareRates(
  name: string,
  ours: readonly Rates[],
  theirs: readonly Rates[],
): PeerReport {
  const widths = [...theirs[0].batch.keys()];
  const perWidth = (figure: (width: number) => number) =>
    Object.fromEntries(widths.map((width) => [String(width), round4(figure(width))]));
  const ratios = (pick: (rates: Rates) => number) =>
    ours.map((own, round) => pick(own) / pick(theirs[round]));
  return {
    peer: {
      name,
      decode_tokens_per_second: round4(median(theirs.map(({ decode }) => decode))),
      prompt_tokens_per_second: round4(median(theirs.map(({ prompt }) => prompt))),
      batch_tokens_per_second: perWidth((width) =>
        median(theirs.map(({ batch }) => batch.get(width)!))
      ),
    },
    peer_ratio: {
      ...medianFigures("decode_tokens_per_second", ratios(({ decode }) => decode)),
      ...medianFigures("prompt_tokens_per_second", ratios(({ prompt }) => prompt)),
      batch_tokens_per_second: perWidth((width) =>
        median(ratios(({ batch }) => batch.get(width)!))
      ),
    },
  };
}
