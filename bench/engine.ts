/** `redraft bench engine`: the engine's own speed, without speculation. @module */
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, wholeNumber } from "../cli/options.ts";
import { Progress } from "../tools/progress.ts";
import { openPeer } from "./peer_open.ts";
import { compareRates, type PeerSide, type Rates } from "./peer_engine.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { PLAIN, prepareSession, Session, SESSION_OPTIONS, type SessionOptions } from "./session.ts";
import { median, medianFigures, round4 } from "./stats.ts";
import { addTime, NO_TIME, type RunTime, stepParts, timeBetween } from "./step_parts.ts";

const PROMPT_TOKENS = 512;
const DECODE_TOKENS = 128;
/** Of the prompts that decoding starts from. */
const START_TOKENS = 16;
const BATCHES = [1, 2, 4, 8, 16, 32] as const;
/** Sequences that fill the memory, and their tokens, of which so many are decoded. */
const FULL_WIDTH = 32;
const FULL_TOKENS = 1024;
const FULL_DECODE_TOKENS = 32;
const FULL_PAGES = FULL_WIDTH * (FULL_TOKENS / 16 + 1);
/** The widths reported as throughput; step costs are of all. */
const BATCHES_SHOWN: readonly number[] = [1, 8, 32];

/** What one round measured. */
interface Round {
  promptRate: number;
  decodeRate: number;
  /** Seconds of a step that decodes so many sequences, by their number. */
  stepSeconds: Map<number, number>;
  /** Of one sequence's decoding, prompt included. */
  time: RunTime;
}

/** Text that no two sequences share, so that neither a prefix hit nor a stop token cuts the work.
 */
function promptOf(session: Session, index: number, tokenCount: number): Uint32Array {
  const text = `Entry ${index} of the ledger: the tide comes in, the tide goes out. `.repeat(128);
  return session.tokenizer.encode(text, { parseSpecial: false }).slice(0, tokenCount);
}

const GREEDY = { temperature: 0, seed: 1, budget: PLAIN, ignoreStops: true } as const;

async function decodeWidth(session: Session, width: number) {
  const prompts = Array.from(
    { length: width },
    (_, index) => promptOf(session, index, START_TOKENS),
  );
  const before = session.engine.counters();
  const options = { ...GREEDY, tokensMax: DECODE_TOKENS };
  const runs = await session.generateAll(prompts, () => options, width);
  const after = session.engine.counters();
  // From the first token of each sequence on: what came before is the prompt's.
  const seconds = Math.max(...runs.map((run) => run.seconds)) -
    median(runs.map((run) => run.firstTokenSeconds));
  const whole = Math.max(...runs.map((run) => run.seconds));
  return { seconds, time: timeBetween(before, after, whole) };
}

async function runRound(session: Session): Promise<Round> {
  const prompt = promptOf(session, 0, PROMPT_TOKENS);
  const first = await session.generate(prompt, { ...GREEDY, tokensMax: 1 });
  const round: Round = {
    promptRate: prompt.length / first.seconds,
    decodeRate: 0,
    stepSeconds: new Map(),
    time: NO_TIME,
  };
  for (const width of BATCHES) {
    const { seconds, time } = await decodeWidth(session, width);
    round.stepSeconds.set(width, seconds / (DECODE_TOKENS - 1));
    if (width === 1) {
      round.decodeRate = (DECODE_TOKENS - 1) / seconds;
      round.time = time;
    }
  }
  return round;
}

interface Memory {
  resident_mib: number;
  kv_mib: number;
  kv_kib_per_token: number;
}

/** What this process holds, engine, tokenizer and Deno, with its KV pages in use: those of
 * `FULL_WIDTH` sequences of `FULL_TOKENS` tokens. */
async function fillMemory(session: Session): Promise<Memory> {
  const startTokens = FULL_TOKENS - FULL_DECODE_TOKENS;
  const prompts = Array.from(
    { length: FULL_WIDTH },
    (_, index) => promptOf(session, index, startTokens),
  );
  const options = { ...GREEDY, tokensMax: FULL_DECODE_TOKENS };
  await session.generateAll(prompts, () => options, FULL_WIDTH);
  const status = await Deno.readTextFile("/proc/self/status");
  const kvBytes = session.engine.model.kvBytesPerToken;
  return {
    resident_mib: round4(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? NaN) / 1024),
    kv_mib: round4(FULL_WIDTH * FULL_TOKENS * kvBytes / 2 ** 20),
    kv_kib_per_token: round4(kvBytes / 1024),
  };
}

/** The figures that a peer has too. */
function ratesOf({ decodeRate, promptRate, stepSeconds }: Round): Rates {
  const batch = BATCHES_SHOWN.map((width) => [width, width / stepSeconds.get(width)!] as const);
  return { decode: decodeRate, prompt: promptRate, batch: new Map(batch) };
}

function report(rounds: Round[], memory: Memory) {
  const stepSeconds = (width: number) =>
    median(rounds.map((round) => round.stepSeconds.get(width)!));
  const perWidth = (widths: readonly number[], figure: (width: number) => number) =>
    Object.fromEntries(widths.map((width) => [width, round4(figure(width))]));
  return {
    ...medianFigures("decode_tokens_per_second", rounds.map((round) => round.decodeRate)),
    ...medianFigures("prompt_tokens_per_second", rounds.map((round) => round.promptRate)),
    batch_tokens_per_second: perWidth(BATCHES_SHOWN, (width) => width / stepSeconds(width)),
    step_cost: perWidth(BATCHES, (width) => stepSeconds(width) / stepSeconds(1)),
    ...stepParts(rounds.map((round) => round.time).reduce(addTime)),
    ...memory,
  };
}

/** A round of ours, then one of the peer, if there is one; the next time the other way round. */
async function measure(settings: SessionOptions, roundCount: number, peer: PeerSide | null) {
  const progress = new Progress("bench engine");
  const session = await Session.open({
    ...settings,
    slotsMax: Math.max(settings.slotsMax, FULL_WIDTH),
    pagesMax: Math.max(settings.pagesMax, FULL_PAGES),
  });
  try {
    const rounds: Round[] = [], theirs: Rates[] = [];
    const workload = {
      prompt: promptOf(session, 0, PROMPT_TOKENS),
      starts: Array.from({ length: 32 }, (_, index) => promptOf(session, index, START_TOKENS)),
      widths: BATCHES_SHOWN,
      decodeTokens: DECODE_TOKENS,
    };
    await decodeWidth(session, 1); // Warm-up.
    await peer?.warm(workload);
    for (let round = 0; round < roundCount; ++round) {
      const sides = [async () => rounds.push(await runRound(session))];
      if (peer) sides.push(async () => theirs.push(await peer.rates(workload)));
      for (const side of round % 2 === 0 ? sides : sides.reverse()) await side();
      progress.update(`round ${round + 1} of ${roundCount}`);
    }
    const memory = await fillMemory(session);
    progress.done(`${roundCount} rounds`);
    return {
      ...report(rounds, memory),
      ...(peer && compareRates(peer.name, rounds.map(ratesOf), theirs)),
    };
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
  const peer = await openPeer(values.peer as string | undefined, settings, FULL_WIDTH);
  try {
    const figures = await measure(settings, roundCount, peer);
    await publish({ bench: "engine", args, values, model: settings.model, figures });
  } finally {
    await peer?.close();
  }
  return 0;
}

export const command: Command = {
  summary: "the engine's speed",
  help: `Measures the engine without speculation: decoding, prompts, batches, the cost of a step.

  redraft bench engine [--rounds R] [--peer llama|URL] [OPTIONS]

  --rounds R         interleaved rounds, medians (default 3)
  --peer llama       llama.cpp, in rounds between ours: PyPI's llama-cpp-python, built from its
                     sources once, on the same weights requantised to Q4_0
  --peer URL         an OpenAI-compatible server of the same model, in rounds between ours
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

Prompts have ${PROMPT_TOKENS} tokens, answers ${DECODE_TOKENS}. step_cost is the time of a step that
decodes so many sequences, over the time of a step that decodes one. step_micros says where a step
of one sequence spends its time; overhead_share is what of it is outside the model's layers and its
logits: planning, codec, FFI, drawing, copies.

Example:
  redraft bench engine --threads 2 --json
`,
  run: engine,
};
