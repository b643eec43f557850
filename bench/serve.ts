/** `redraft bench serve`: many sequences at once, speculation on and off. @module */
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { Progress } from "../tools/progress.ts";
import {
  askedPrompts,
  DRAW_OPTIONS,
  type DrawOptions,
  PROMPT_OPTIONS,
  readDraw,
} from "./prompt_options.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import {
  drawnCount,
  type Generated,
  type GenerateOptions,
  PLAIN,
  prepareSession,
  Session,
  SESSION_OPTIONS,
  type SessionOptions,
} from "./session.ts";
import { bootstrap, countDiffering, median, quantile, round4, seededRandom } from "./stats.ts";
import { Side, Turns } from "./turns.ts";

const WARMUP_TOKENS_MAX = 32;
/** Prompts a round of `n` sequences: each place is taken so often that starts and ends even out. */
const TURNS_PER_PLACE = 2;
/** So many at least, that few sequences meet prompts of each kind too. */
const PROMPTS_MIN = 16;

interface Round {
  on: number;
  off: number;
}

interface WidthFigures {
  rounds: Round[];
  firstTokens: number[];
  differing: number;
}

interface ServeOptions extends DrawOptions {
  rounds: number;
}

/** The same engine twice. */
interface Sides {
  on: Session;
  off: Session;
}

/** Two engines that take turns; the first to open is measured while nothing else runs. */
async function openSides(settings: SessionOptions): Promise<Sides> {
  const turns = new Turns();
  const open = async () => {
    let session: Session | undefined;
    const side = new Side(turns, () => {
      const counters = session?.engine.counters();
      return (counters?.promptTokens ?? 0) + (counters?.generatedTokens ?? 0);
    });
    return session = await Session.open(settings, side);
  };
  const off = await open();
  try {
    return { off, on: await open() };
  } catch (error) {
    await off.close();
    throw error;
  }
}

async function runSide(
  session: Session,
  prompts: Uint32Array[],
  width: number,
  options: ServeOptions,
  budget: typeof PLAIN | undefined,
): Promise<{ rate: number; runs: Generated[] }> {
  const optionsOf = (index: number): GenerateOptions => ({
    tokensMax: options.tokensMax,
    temperature: options.temperature,
    seed: options.seed + index,
    budget,
  });
  const startedAt = session.now();
  const runs = await session.generateAll(prompts, optionsOf, width);
  const seconds = (session.now() - startedAt) / 1000;
  return { rate: runs.reduce((sum, run) => sum + drawnCount(run), 0) / seconds, runs };
}

async function runWidth(
  { on, off }: Sides,
  all: Uint32Array[],
  width: number,
  options: ServeOptions,
): Promise<WidthFigures> {
  const count = Math.max(width * TURNS_PER_PLACE, PROMPTS_MIN);
  // At even distances, for files are sorted by kind; whoever wants more goes round again.
  const distance = Math.max(1, all.length / count);
  const prompts = Array.from(
    { length: count },
    (_, index) => all[Math.floor(index * distance) % all.length],
  );
  const figures: WidthFigures = { rounds: [], firstTokens: [], differing: 0 };
  for (let round = 0; round < options.rounds; ++round) {
    const [drafted, plain] = await Promise.all([
      runSide(on, prompts, width, options, undefined),
      runSide(off, prompts, width, options, PLAIN),
    ]);
    figures.rounds.push({ on: drafted.rate, off: plain.rate });
    figures.firstTokens.push(...drafted.runs.map((run) => run.firstTokenSeconds));
    for (const [index, run] of drafted.runs.entries()) {
      figures.differing += countDiffering(run.tokens, plain.runs[index].tokens);
    }
  }
  return figures;
}

const ratioOf = (rounds: readonly Round[]) => median(rounds.map(({ on, off }) => on / off));

function summary({ rounds, firstTokens }: WidthFigures) {
  return {
    on: round4(median(rounds.map((round) => round.on))),
    off: round4(median(rounds.map((round) => round.off))),
    ratio: round4(ratioOf(rounds)),
    ratio_low: round4(bootstrap(rounds, ratioOf, seededRandom(1)).low),
    first_token_p50: round4(quantile(firstTokens, 0.5)),
    first_token_p99: round4(quantile(firstTokens, 0.99)),
  };
}

function readWidths(text: string): number[] {
  const widths = text.split(",").map(Number);
  const wrong = widths.some((width) => !Number.isInteger(width) || width < 1 || width > 1024);
  if (wrong) throw new UsageError(`Option '--sequences' must be numbers like 1,8,32, not ${text}`);
  return widths;
}

async function serve(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    ...PROMPT_OPTIONS,
    sequences: { type: "string", default: "1,2,4,8,16,32,64" },
    ...DRAW_OPTIONS,
    rounds: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const widths = readWidths(String(values.sequences));
  const options: ServeOptions = {
    ...readDraw(values),
    rounds: wholeNumber(values, "rounds", { min: 1, max: 100, fallback: 3 }),
  };
  const prompts = await askedPrompts(values, 64);
  const settings = await prepareSession(values);
  const slotsMax = Math.max(settings.slotsMax, ...widths);
  const progress = new Progress("bench serve");
  const sides = await openSides({ ...settings, slotsMax });
  const sequences: Record<string, ReturnType<typeof summary>> = {};
  let differing = 0;
  try {
    const all = prompts.map((prompt) =>
      sides.on.encodeChat([{ role: "user", content: prompt.turns[0] }])
    );
    const warmup = { ...options, tokensMax: WARMUP_TOKENS_MAX, rounds: 1 };
    await runWidth(sides, all, 1, warmup);
    for (const width of widths) {
      const figures = await runWidth(sides, all, width, options);
      sequences[width] = summary(figures);
      differing += figures.differing;
      progress.note(`bench serve: ${width} at once, on/off ${sequences[width].ratio}`);
    }
  } finally {
    await sides.on.close();
    await sides.off.close();
  }
  const figures = { sequences, differing_tokens: differing };
  await publish({ bench: "serve", args, values, model: settings.model, figures });
  return differing === 0 ? 0 : 1;
}

export const command: Command = {
  summary: "tokens per second of many sequences",
  help: `Measures tokens per second of many sequences at once, speculation on and off:
two engines that take turns step by step, each timed by its own turns.

  redraft bench serve --prompts FILE [--sequences 1,2,4,8,16,32,64] [OPTIONS]

  --prompts FILE     one {"id", "category", "turns"} a line; the first turns are asked
  --limit N          that many prompts, taken at even distances (default 64)
  --sequences LIST   how many at once
  --max-tokens N     of each answer (default 256)
  --temperature T    default 0, greedy
  --rounds R         both ways R times, medians (default 3)
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

first_token figures are in seconds, with speculation on. The exit status is 1 if any token differs.

Example:
  redraft bench serve --prompts dev.jsonl --sequences 1,8,32 --max-tokens 64
`,
  run: serve,
};
