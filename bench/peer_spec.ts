/** What `bench spec` measures of a peer on the same prompts: llama.cpp, plain and with n-gram
 * drafts, or a server as it is. @module */
import type { LlamaGenerated, LlamaPeer } from "./peer_llama.ts";
import { bootstrap, mean, median, round4 } from "./stats.ts";

/** One turn, over all rounds. */
export interface PeerTurn {
  tokens: number;
  /** Of llama.cpp: of plain decoding. Of a server: by whatever way it decodes. */
  seconds: number;
  lookup?: { seconds: number; steps: number };
}

export interface SpecPeer {
  readonly name: string;
  /** Has the peer generate as many tokens as we did: another answer's length is not its fault. */
  turn(prompt: Uint32Array, count: number, rounds: number): Promise<PeerTurn>;
  close(): Promise<void>;
}

/** llama.cpp, plain and with n-gram drafts. */
export async function runLlamaTurn(
  llama: LlamaPeer,
  prompt: Uint32Array,
  count: number,
  rounds: number,
): Promise<PeerTurn> {
  const plain: LlamaGenerated[] = [], lookup: LlamaGenerated[] = [];
  for (let round = 0; round < rounds; ++round) {
    plain.push(await llama.generate(prompt, count, false));
    lookup.push(await llama.generate(prompt, count, true));
  }
  // Drafting may end a step past the count, so seconds are of exactly as many tokens.
  const secondsOf = (runs: LlamaGenerated[]) =>
    median(runs.map(({ seconds, tokens }) => seconds * count / tokens.length));
  return {
    tokens: count,
    seconds: secondsOf(plain),
    lookup: {
      seconds: secondsOf(lookup),
      steps: lookup[0].steps * count / lookup[0].tokens.length,
    },
  };
}

/** One prompt: our seconds with speculation, and the peer's turns. */
export interface PeerPrompt {
  specSeconds: number;
  turns: readonly PeerTurn[];
}

const sum = (turns: readonly PeerTurn[], pick: (turn: PeerTurn) => number) =>
  turns.reduce((total, turn) => total + pick(turn), 0);

/** Mean over prompts of tokens a second, as ours is. */
function rateOf(prompts: readonly PeerPrompt[], seconds: (prompt: PeerPrompt) => number): number {
  return mean(prompts.map((one) => sum(one.turns, (turn) => turn.tokens) / seconds(one)));
}

const ownRate = (prompts: readonly PeerPrompt[]) =>
  rateOf(prompts, ({ turns }) => sum(turns, (turn) => turn.seconds));
/** Infinitely slow where there is no such way. */
const lookupRate = (prompts: readonly PeerPrompt[]) =>
  rateOf(prompts, ({ turns }) => sum(turns, (turn) => turn.lookup?.seconds ?? Infinity));

/** Our speculative rate over the better of the peer's two. */
function ratioOf(prompts: readonly PeerPrompt[]): number {
  return rateOf(prompts, ({ specSeconds }) => specSeconds) /
    Math.max(ownRate(prompts), lookupRate(prompts));
}

export function peerSpecReport(
  name: string,
  prompts: readonly PeerPrompt[],
  random: () => number,
) {
  const turns = prompts.flatMap((prompt) => prompt.turns);
  const { low, high } = bootstrap(prompts, ratioOf, random);
  const steps = sum(turns, (turn) => turn.lookup?.steps ?? 0);
  const rate = round4(ownRate(prompts));
  const rates = steps === 0 ? { tokens_per_second: rate } : {
    plain_tokens_per_second: rate,
    lookup_tokens_per_second: round4(lookupRate(prompts)),
    lookup_tokens_per_step: round4(sum(turns, (turn) => turn.tokens) / steps),
  };
  return {
    peer: { name, ...rates },
    peer_ratio: round4(ratioOf(prompts)),
    peer_ratio_low: round4(low),
    peer_ratio_high: round4(high),
  };
}
