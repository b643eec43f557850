/** `redraft bench spec`: tokens per step and speed-up over plain decoding, pair by pair.
 * @module */
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import type { ChatMessage } from "../gateway/request_messages.ts";
import { Progress } from "../tools/progress.ts";
import { openSpecPeer } from "./peer_open.ts";
import { peerSpecReport, type PeerTurn, type SpecPeer } from "./peer_spec.ts";
import {
  askedPrompts,
  DRAW_OPTIONS,
  type DrawOptions,
  PROMPT_OPTIONS,
  readDraw,
} from "./prompt_options.ts";
import type { Prompt } from "./prompts.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import {
  drawnCount,
  type Generated,
  type GenerateOptions,
  PLAIN,
  prepareSession,
  Session,
  SESSION_OPTIONS,
} from "./session.ts";
import {
  bootstrap,
  countDiffering,
  isLooping,
  mean,
  median,
  round4,
  seededRandom,
} from "./stats.ts";
import { addTime, NO_TIME, type RunTime, stepParts, timeBetween } from "./step_parts.ts";

const WARMUP_PROMPTS = 3;
/** Warm-up is for caches and clocks, not for text. */
const WARMUP_TOKENS_MAX = 64;

/** One turn, both ways, over all rounds. */
export interface Pair {
  category: string;
  drawn: number;
  plainSeconds: number;
  specSeconds: number;
  steps: number;
  /** Element d: steps in which at least d + 1 draft tokens were accepted. */
  acceptedByDepth: number[];
  /** Steps that verified a tree. */
  draftedSteps: number;
  looping: boolean;
  differing: number;
  /** Of all rounds with speculation. */
  specTime: RunTime;
  /** Of the same prompt, where a peer was asked for. */
  peer?: PeerTurn;
}

interface SpecOptions extends DrawOptions {
  rounds: number;
}

function acceptedByDepth(generated: Generated): number[] {
  const counts: number[] = [];
  for (const step of generated.steps) {
    for (let depth = 0; depth < step.acceptedCount; ++depth) {
      counts[depth] = (counts[depth] ?? 0) + 1;
    }
  }
  return counts;
}

/** Runs one turn both ways in each round, the order changing with the round and the prompt. */
async function runPair(
  session: Session,
  prompt: Uint32Array,
  category: string,
  options: SpecOptions,
  index: number,
): Promise<{ pair: Pair; tokens: number[] }> {
  const common: GenerateOptions = { ...options, seed: options.seed + index };
  const plainRuns: Generated[] = [], specRuns: Generated[] = [];
  let specTime = NO_TIME;
  for (let round = 0; round < options.rounds; ++round) {
    const plain = async () =>
      plainRuns.push(await session.generate(prompt, { ...common, budget: PLAIN }));
    const spec = async () => {
      const before = session.engine.counters();
      const run = await session.generate(prompt, common);
      specTime = addTime(specTime, timeBetween(before, session.engine.counters(), run.seconds));
      specRuns.push(run);
    };
    const order = (round + index) % 2 === 0 ? [plain, spec] : [spec, plain];
    for (const run of order) await run();
  }
  const [reference] = plainRuns, [speculated] = specRuns;
  const differing = [...plainRuns, ...specRuns].reduce(
    (count, run) => count + countDiffering(reference.tokens, run.tokens),
    0,
  );
  const pair: Pair = {
    category,
    drawn: drawnCount(reference),
    plainSeconds: median(plainRuns.map((run) => run.seconds)),
    specSeconds: median(specRuns.map((run) => run.seconds)),
    steps: speculated.steps.length,
    acceptedByDepth: acceptedByDepth(speculated),
    draftedSteps: speculated.steps.filter((step) => step.draftedCount > 0).length,
    looping: isLooping(reference.tokens),
    differing,
    specTime,
  };
  return { pair, tokens: reference.tokens };
}

async function runPrompts(
  session: Session,
  prompts: Prompt[],
  options: SpecOptions,
  peer: SpecPeer | null,
) {
  const progress = new Progress("bench spec");
  const warmup = { ...options, tokensMax: Math.min(options.tokensMax, WARMUP_TOKENS_MAX) };
  for (const prompt of prompts.slice(0, WARMUP_PROMPTS)) {
    const tokens = session.encodeChat([{ role: "user", content: prompt.turns[0] }]);
    await runPair(session, tokens, prompt.category, { ...warmup, rounds: 1 }, 0);
    // The other way round, for the peer may remember what it is asked.
    await peer?.turn(tokens.toReversed(), warmup.tokensMax, 1);
  }
  const pairs: Pair[][] = [];
  for (const [index, prompt] of prompts.entries()) {
    const messages: ChatMessage[] = [];
    const turns: Pair[] = [];
    for (const content of prompt.turns) {
      messages.push({ role: "user", content });
      const tokens = session.encodeChat(messages);
      const turn = await runPair(session, tokens, prompt.category, options, index);
      messages.push({ role: "assistant", content: session.decode(turn.tokens) });
      const { drawn } = turn.pair;
      turn.pair.peer = await peer?.turn(tokens, drawn, options.rounds);
      turns.push(turn.pair);
    }
    pairs.push(turns);
    const speedup = speedupOf(pairs).toFixed(2);
    progress.update(`${index + 1} of ${prompts.length} prompts, speed-up ${speedup} so far`);
  }
  progress.done(`${prompts.length} prompts`);
  return pairs;
}

const sum = <T>(items: readonly T[], pick: (item: T) => number) =>
  items.reduce((total, item) => total + pick(item), 0);

/** A prompt's rate is over all its turns. */
function rates(prompts: readonly Pair[][], pick: (pair: Pair) => number): number[] {
  return prompts.map((turns) => sum(turns, (turn) => turn.drawn) / sum(turns, pick));
}

function speedupOf(prompts: readonly Pair[][]): number {
  return mean(rates(prompts, (pair) => pair.specSeconds)) /
    mean(rates(prompts, (pair) => pair.plainSeconds));
}

function tokensPerStep(prompts: readonly Pair[][]): number {
  const pairs = prompts.flat();
  return sum(pairs, (pair) => pair.drawn) / sum(pairs, (pair) => pair.steps);
}

function byCategory(prompts: Pair[][]) {
  const names = [...new Set(prompts.map(([turn]) => turn.category))];
  return Object.fromEntries(names.map((name) => {
    const own = prompts.filter(([turn]) => turn.category === name);
    const figures = {
      tokens_per_step: round4(tokensPerStep(own)),
      speedup: round4(speedupOf(own)),
      prompts: own.length,
    };
    return [name, figures];
  }));
}

/** The figures, by the names that stay the same over the life of the project. */
export function specReport(prompts: Pair[][], random: () => number) {
  const pairs = prompts.flat();
  const interval = bootstrap(prompts, speedupOf, random);
  const depths = Math.max(0, ...pairs.map((pair) => pair.acceptedByDepth.length));
  const drafted = sum(pairs, (pair) => pair.draftedSteps);
  return {
    prompts: prompts.length,
    tokens_per_step: round4(tokensPerStep(prompts)),
    speedup: round4(speedupOf(prompts)),
    speedup_low: round4(interval.low),
    speedup_high: round4(interval.high),
    speedup_of_totals: round4(
      sum(pairs, (pair) => pair.plainSeconds) / sum(pairs, (pair) => pair.specSeconds),
    ),
    plain_tokens_per_second: round4(mean(rates(prompts, (pair) => pair.plainSeconds))),
    spec_tokens_per_second: round4(mean(rates(prompts, (pair) => pair.specSeconds))),
    by_category: byCategory(prompts),
    accepted_by_depth: Array.from(
      { length: depths },
      (_, depth) => round4(sum(pairs, (pair) => pair.acceptedByDepth[depth] ?? 0) / drafted),
    ),
    ...stepParts(pairs.map((pair) => pair.specTime).reduce(addTime, NO_TIME)),
    looping_share: round4(pairs.filter((pair) => pair.looping).length / pairs.length),
    differing_tokens: sum(pairs, (pair) => pair.differing),
  };
}

function peerFigures(name: string, prompts: Pair[][], seed: number) {
  const measured = prompts.map((turns) => ({
    specSeconds: sum(turns, (turn) => turn.specSeconds),
    turns: turns.map((turn) => turn.peer!),
  }));
  return peerSpecReport(name, measured, seededRandom(seed));
}

async function spec(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    ...PROMPT_OPTIONS,
    ...DRAW_OPTIONS,
    peer: { type: "string" },
    rounds: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const options: SpecOptions = {
    ...readDraw(values),
    rounds: wholeNumber(values, "rounds", { min: 1, max: 100, fallback: 1 }),
  };
  if (values.peer !== undefined && options.temperature > 0) {
    throw new UsageError("Option '--peer' is measured at temperature 0 alone");
  }
  const prompts = await askedPrompts(values);
  const settings = await prepareSession(values);
  const session = await Session.open(settings);
  let peer: SpecPeer | null = null, pairs: Pair[][];
  try {
    peer = await openSpecPeer(values.peer as string | undefined, settings);
    pairs = await runPrompts(session, prompts, options, peer);
  } finally {
    await session.close();
    await peer?.close();
  }
  const figures = {
    ...specReport(pairs, seededRandom(options.seed)),
    ...(peer && peerFigures(peer.name, pairs, options.seed)),
  };
  await publish({ bench: "spec", args, values, model: settings.model, figures });
  return figures.differing_tokens === 0 ? 0 : 1;
}

export const command: Command = {
  summary: "tokens per step and speed-up over plain decoding",
  help:
    `Measures speculation against plain decoding of the same engine, prompt by prompt, interleaved.

  redraft bench spec --prompts FILE [--limit N] [--peer llama|URL] [OPTIONS]

  --prompts FILE     one {"id", "category", "turns"} a line
  --limit N          that many prompts, taken at even distances
  --max-tokens N     of each answer (default 256)
  --temperature T    default 0, greedy
  --rounds R         each prompt R times both ways, medians (default 1)
  --peer llama       also llama.cpp on each prompt, plain and with n-gram drafts: PyPI's
                     llama-cpp-python, the same weights requantised to Q4_0, as many tokens
  --peer URL         also an OpenAI-compatible server of the same model, which is sent the prompts'
                     tokens. It may remember them in further rounds and turns, as we do not here
  --seed N           of the first prompt and of the bootstrap (default 1)
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

Wall time with the prompt included, one sequence at a time; three warm-ups are not counted. The exit
status is 1 if any token differs between the two. step_micros says where a step with speculation
spends its time, prompts included; overhead_share is what of it is outside the model's layers, its
logits and the draft head: planning, codec, FFI, drawing, search, copies.

Example:
  redraft bench spec --prompts dev.jsonl --limit 40 --json
`,
  run: spec,
};
