/** `redraft bench engine`: the engine's own speed, without speculation. @module */
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, wholeNumber } from "../cli/options.ts";
import { Progress } from "../tools/progress.ts";
import { measurePeer, type PeerFigures } from "./peer.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { PLAIN, prepareSession, Session, SESSION_OPTIONS, type SessionOptions } from "./session.ts";
import { bootstrap, median, round4, seededRandom } from "./stats.ts";

const PROMPT_TOKENS = 512;
const DECODE_TOKENS = 128;
const BATCHES = [1, 2, 4, 8, 16, 32] as const;
/** The widths reported as throughput; step costs are of all. */
const BATCHES_SHOWN: readonly number[] = [1, 8, 32];

/** What one round measured. */
interface Round {
  promptRate: number;
  decodeRate: number;
  /** Seconds of a step that decodes so many sequences, by their number. */
  stepSeconds: Map<number, number>;
  /** Share of the time in which the engine was not inside a step. */
  overhead: number;
}

/** Text that no two sequences share, so that neither a prefix hit nor a stop token cuts the work.
 */
function promptOf(session: Session, index: number, tokenCount: number): Uint32Array {
  const text = `Entry ${index} of the ledger: the tide comes in, the tide goes out. `.repeat(64);
  return session.tokenizer.encode(text, { parseSpecial: false }).slice(0, tokenCount);
}

const GREEDY = { temperature: 0, seed: 1, budget: PLAIN, ignoreStops: true } as const;

async function decodeWidth(session: Session, width: number) {
  const prompts = Array.from({ length: width }, (_, index) => promptOf(session, index, 16));
  const before = session.engine.counters();
  const options = { ...GREEDY, tokensMax: DECODE_TOKENS };
  const runs = await session.generateAll(prompts, () => options, width);
  const after = session.engine.counters();
  // From the first token of each sequence on: what came before is the prompt's.
  const seconds = Math.max(...runs.map((run) => run.seconds)) -
    median(runs.map((run) => run.firstTokenSeconds));
  const inside = (after.stepMicros - before.stepMicros) / 1e6;
  const whole = Math.max(...runs.map((run) => run.seconds));
  return { seconds, overhead: Math.max(0, 1 - inside / whole) };
}

async function runRound(session: Session): Promise<Round> {
  const prompt = promptOf(session, 0, PROMPT_TOKENS);
  const first = await session.generate(prompt, { ...GREEDY, tokensMax: 1 });
  const round: Round = {
    promptRate: prompt.length / first.seconds,
    decodeRate: 0,
    stepSeconds: new Map(),
    overhead: 0,
  };
  for (const width of BATCHES) {
    const { seconds, overhead } = await decodeWidth(session, width);
    round.stepSeconds.set(width, seconds / (DECODE_TOKENS - 1));
    if (width === 1) {
      round.decodeRate = (DECODE_TOKENS - 1) / seconds;
      round.overhead = overhead;
    }
  }
  return round;
}

/** Bytes of this process that are resident: the engine's and Deno's. */
async function residentMib(): Promise<number> {
  const status = await Deno.readTextFile("/proc/self/status");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? NaN) / 1024;
}

function summary(name: string, values: number[]) {
  const { low, high } = bootstrap(values, median, seededRandom(1));
  return {
    [name]: round4(median(values)),
    [`${name}_low`]: round4(low),
    [`${name}_high`]: round4(high),
  };
}

function report(rounds: Round[], resident: number, peer: PeerFigures | null) {
  const stepSeconds = (width: number) =>
    median(rounds.map((round) => round.stepSeconds.get(width)!));
  const perWidth = (widths: readonly number[], figure: (width: number) => number) =>
    Object.fromEntries(widths.map((width) => [width, round4(figure(width))]));
  return {
    ...summary("decode_tokens_per_second", rounds.map((round) => round.decodeRate)),
    ...summary("prompt_tokens_per_second", rounds.map((round) => round.promptRate)),
    batch_tokens_per_second: perWidth(BATCHES_SHOWN, (width) => width / stepSeconds(width)),
    step_cost: perWidth(BATCHES, (width) => stepSeconds(width) / stepSeconds(1)),
    overhead_share: round4(median(rounds.map((round) => round.overhead))),
    resident_mib: round4(resident),
    ...(peer ? { peer } : {}),
  };
}

async function measure(settings: SessionOptions, roundCount: number) {
  const progress = new Progress("bench engine");
  const session = await Session.open({ ...settings, slotsMax: Math.max(settings.slotsMax, 32) });
  try {
    await decodeWidth(session, 1); // Warm-up.
    const rounds: Round[] = [];
    for (let round = 0; round < roundCount; ++round) {
      rounds.push(await runRound(session));
      progress.update(`round ${round + 1} of ${roundCount}`);
    }
    progress.done(`${roundCount} rounds`);
    return { rounds, resident: await residentMib() };
  } finally {
    await session.close();
  }
}

async function engine(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    peer: { type: "string" },
    rounds: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const roundCount = wholeNumber(values, "rounds", { min: 1, max: 100, fallback: 3 });
  const settings = await prepareSession(values);
  const { rounds, resident } = await measure(settings, roundCount);
  const peer = values.peer === undefined ? null : await measurePeer(String(values.peer), {
    model: settings.model,
    threads: settings.threads,
    promptTokens: PROMPT_TOKENS,
    decodeTokens: DECODE_TOKENS,
    widths: BATCHES_SHOWN,
  });
  const figures = report(rounds, resident, peer);
  await publish({ bench: "engine", args, values, model: settings.model, figures });
  return 0;
}

export const command: Command = {
  summary: "the engine's speed",
  help: `Measures the engine without speculation: decoding, prompts, batches, the cost of a step.

  redraft bench engine [--rounds R] [--peer URL] [OPTIONS]

  --rounds R         interleaved rounds, medians (default 3)
  --peer URL         an OpenAI-compatible server of the same model, measured after ours
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

Prompts have ${PROMPT_TOKENS} tokens, answers ${DECODE_TOKENS}. step_cost is the time of a step that
decodes so many sequences, over the time of a step that decodes one.

Example:
  redraft bench engine --threads 2 --json
`,
  run: engine,
};
