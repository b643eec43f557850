/** First token of a prompt whose first 1,000 tokens a real node holds, over one that it does not.
 * @module */
import { Fleet } from "../tests/support/fleet.ts";
import { median } from "./stats.ts";

/** About 1,000 tokens. */
const PREFIX_WORDS = 900;

function prefixOf(topic: number): string {
  const words: string[] = [`Ledger ${topic}:`];
  for (let i = 0; i < PREFIX_WORDS; ++i) words.push(["sea", "tide", "ship", "sail"][i % 4]!);
  return words.join(" ");
}

async function firstTokenMs(fleet: Fleet, content: string): Promise<number> {
  const startedAt = performance.now();
  const response = await fleet.chat({
    messages: [{ role: "user", content }],
    max_tokens: 1,
    temperature: 0,
  });
  await response.arrayBuffer();
  return performance.now() - startedAt;
}

/** Each round asks of a new ledger twice: cold, then with its prefix held. */
export async function measurePrefix(rounds: number): Promise<number> {
  await using fleet = await Fleet.start(1);
  await firstTokenMs(fleet, "Warm up.");
  const ratios: number[] = [];
  for (let round = 0; round < Math.max(rounds, 3); ++round) {
    const prefix = prefixOf(round);
    const coldMs = await firstTokenMs(fleet, `${prefix} First question?`);
    const heldMs = await firstTokenMs(fleet, `${prefix} Second question?`);
    ratios.push(heldMs / coldMs);
  }
  return median(ratios);
}
