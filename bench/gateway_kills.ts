/** `kill -9` of the node at work, again and again, on real nodes: what its reader sees of it.
 * @module */
import { Fleet } from "../tests/support/fleet.ts";
import { readStream } from "../tests/support/sse.ts";
import { eventually } from "../tests/support/served.ts";
import { Progress } from "../tools/progress.ts";

const NODES = 3;
const TOKENS = 60;
const READY_MS_MAX = 60_000;
/** An answer may be there before its reader has come far: then there is nothing to kill. */
const RUNS_PER_KILL_MAX = 4;

const SAMPLINGS: Readonly<Record<string, Record<string, unknown>>> = {
  greedy: { temperature: 0 },
  sampled: { temperature: 0.9, seed: 11, presence_penalty: 0.5 },
};

interface Answer {
  tokens: readonly number[];
  text: string;
  finished: boolean;
}

function body(sampling: Record<string, unknown>): Record<string, unknown> {
  return {
    messages: [{ role: "user", content: "Tell me of a ship and its crew." }],
    max_tokens: TOKENS,
    ignore_eos: true,
    stream: true,
    speculation: { trace: true },
    ...sampling,
  };
}

async function ask(
  fleet: Fleet,
  sampling: Record<string, unknown>,
  onEvent: (count: number) => void,
): Promise<Answer> {
  const { events, text, done } = await readStream(await fleet.chat(body(sampling)), onEvent);
  const choices = events.map((event) => event.choices?.[0]);
  const traced = choices.flatMap((choice) => choice?.redraft?.tokens ?? []);
  return {
    text,
    tokens: traced.map(({ token }: { token: number }) => token),
    finished: done && choices.filter((choice) => choice?.finish_reason === "length").length === 1,
  };
}

/** Tokens of `answer` that are not those of `expected` at their place, missing ones included. */
function differing(answer: Answer, expected: Answer): number {
  const longest = Math.max(answer.tokens.length, expected.tokens.length);
  let count = 0;
  for (let i = 0; i < longest; ++i) {
    if (answer.tokens[i] !== expected.tokens[i]) ++count;
  }
  return count > 0 ? count : answer.text === expected.text ? 0 : 1;
}

/** @param count Kills of each way of sampling. */
export async function measureKills(count: number) {
  await using fleet = await Fleet.start(NODES);
  const figures = { kills: 0, differing_tokens: 0, unfinished_streams: 0 };
  const { pool, metrics } = fleet.gateway.services;
  const progress = new Progress("bench gateway");
  for (const [name, sampling] of Object.entries(SAMPLINGS)) {
    const undisturbed = await ask(fleet, sampling, () => {});
    if (undisturbed.tokens.length !== TOKENS) throw new Error("Cannot measure: no whole answer");
    let kills = 0;
    for (let run = 0; kills < count && run < count * RUNS_PER_KILL_MAX; ++run) {
      const killAt = 1 + Math.floor(Math.random() * TOKENS * 0.6);
      let killed = false;
      const answer = await ask(fleet, sampling, (events) => {
        const node = killed || events < killAt ? undefined : fleet.busyNode;
        if (node === undefined) return;
        killed = true;
        Deno.kill(node.pid, "SIGKILL");
      });
      if (killed) ++kills;
      figures.differing_tokens += differing(answer, undisturbed);
      figures.unfinished_streams += answer.finished ? 0 : 1;
      // Two are enough to lose one of.
      const isReady = () => Promise.resolve(pool.readyCount >= 2);
      await eventually(isReady, READY_MS_MAX, () => fleet.log.lines.slice(-5).join("\n"));
      progress.update(`bench gateway: ${kills} of ${count} killed, ${name}`);
    }
    if (kills < count) throw new Error(`Cannot measure: only ${kills} were killed at work`);
    figures.kills += kills;
  }
  const lines: string[] = [];
  metrics.moves.write(lines);
  return { ...figures, moved_streams: Number(lines.at(-1)!.split(" ")[1]) };
}
