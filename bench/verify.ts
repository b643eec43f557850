/** `redraft verify`: the same text with speculation on and off, token for token, however it is
 * served. @module */
import { type Command, parseOptions, runCommand } from "../cli/options.ts";
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import type { ChatMessage } from "../gateway/request_messages.ts";
import { Progress } from "../tools/progress.ts";
import { askedPrompts, DRAW_OPTIONS, PROMPT_OPTIONS, readDraw } from "./prompt_options.ts";
import type { Prompt } from "./prompts.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import {
  type GenerateOptions,
  PLAIN,
  prepareSession,
  Session,
  SESSION_OPTIONS,
  type SessionOptions,
} from "./session.ts";
import { countDiffering } from "./stats.ts";

/** One turn of one prompt, with what plain decoding alone answered. */
interface Case {
  name: string;
  prompt: Uint32Array;
  seed: number;
  temperature: number;
  reference: number[];
}

/** "on": as the node itself chooses; "trees": large ones in every step, which a full batch would
 * not draft by itself. */
type Drafting = "off" | "on" | "trees";

/** One way of serving the same cases. */
interface Mode {
  name: string;
  /** Sequences at once. */
  width: number;
  drafting: Drafting;
  /** Every case runs twice, so that the second finds its pages. */
  prefix?: boolean;
}

interface ModeResult {
  comparisons: number;
  differing_tokens: number;
  cached_tokens?: number;
}

const MODES: readonly Mode[] = [
  { name: "on, alone", width: 1, drafting: "on" },
  { name: "trees, alone", width: 1, drafting: "trees" },
  { name: "trees, 8 at once", width: 8, drafting: "trees" },
  { name: "trees, 32 at once", width: 32, drafting: "trees" },
  { name: "on, 32 at once", width: 32, drafting: "on" },
  { name: "off, 32 at once", width: 32, drafting: "off" },
  { name: "trees, after prefix hits", width: 8, drafting: "trees", prefix: true },
];
/** Context tokens a step; the sessions above take all that fits. */
const CHUNKS: readonly number[] = [16, 64];
const SHOWN_DIFFERENCES_MAX = 5;
const TREES = { beamWidth: 4, beamLength: 6, packedMax: 12, pathMax: 16 };

class Verification {
  readonly modes: Record<string, ModeResult> = {};
  #shown = 0;

  constructor(readonly tokensMax: number, readonly progress: Progress) {}

  /** Plain decoding, one sequence at a time: what all else is compared with. */
  async reference(session: Session, prompts: Prompt[], temperature: number, seed: number) {
    const cases: Case[] = [];
    for (const [index, prompt] of prompts.entries()) {
      const messages: ChatMessage[] = [];
      for (const [turn, content] of prompt.turns.entries()) {
        messages.push({ role: "user", content });
        const item: Case = {
          name: `${prompt.id} turn ${turn + 1}, temperature ${temperature}`,
          prompt: session.encodeChat(messages),
          seed: seed + index,
          temperature,
          reference: [],
        };
        const options = { ...this.#options(item, "off"), usePrefix: false };
        item.reference = (await session.generate(item.prompt, options)).tokens;
        messages.push({ role: "assistant", content: session.decode(item.reference) });
        cases.push(item);
      }
      this.progress.update(`off, alone, temperature ${temperature}: ${index + 1} prompts`);
    }
    return cases;
  }

  /** Runs all cases in one mode and counts what differs from the reference. */
  async compare(session: Session, cases: Case[], mode: Mode): Promise<void> {
    const result: ModeResult = this.modes[mode.name] ??= { comparisons: 0, differing_tokens: 0 };
    const prompts = cases.map((item) => item.prompt);
    const optionsOf = (index: number) => ({
      ...this.#options(cases[index], mode.drafting),
      usePrefix: mode.prefix,
    });
    let done = 0;
    const runs = mode.prefix ? 2 : 1;
    for (let run = 0; run < runs; ++run) {
      const generated = await session.generateAll(prompts, optionsOf, mode.width, () => {
        this.progress.update(`${mode.name}: ${++done} of ${runs * cases.length}`);
      });
      for (const [index, { tokens, finish }] of generated.entries()) {
        const differing = countDiffering(cases[index].reference, tokens);
        ++result.comparisons;
        result.differing_tokens += differing;
        if (differing) this.#showDifference(mode, cases[index], tokens);
        if (mode.prefix && run === 1) {
          result.cached_tokens = (result.cached_tokens ?? 0) + finish.cachedCount;
        }
      }
    }
    if (mode.prefix && !result.cached_tokens) {
      throw new Error("Cannot verify prefix hits: no prompt token came from the cache");
    }
  }

  #options(item: Case, drafting: Drafting): GenerateOptions {
    return {
      tokensMax: this.tokensMax,
      temperature: item.temperature,
      seed: item.seed,
      ...(drafting === "on" ? {} : { budget: drafting === "off" ? PLAIN : TREES }),
    };
  }

  #showDifference(mode: Mode, item: Case, tokens: number[]): void {
    if (++this.#shown > SHOWN_DIFFERENCES_MAX) return;
    const at = item.reference.findIndex((token, index) => token !== tokens[index]);
    const place = at < 0 ? item.reference.length : at;
    this.progress.note(
      `${mode.name}: ${item.name} differs from token ${place} on: ` +
        `${tokens[place] ?? "ended"}, expected ${item.reference[place] ?? "the end"}`,
    );
  }
}

async function runAll(
  verification: Verification,
  settings: SessionOptions,
  prompts: Prompt[],
  temperatures: number[],
  seed: number,
): Promise<void> {
  const cases: Case[] = [];
  const session = await Session.open({ ...settings, slotsMax: Math.max(settings.slotsMax, 32) });
  try {
    for (const temperature of temperatures) {
      cases.push(...await verification.reference(session, prompts, temperature, seed));
    }
    for (const mode of MODES) await verification.compare(session, cases, mode);
  } finally {
    await session.close();
  }
  for (const chunkMax of CHUNKS) {
    const chunked = await Session.open({ ...settings, chunkMax });
    try {
      const name = `trees, context in chunks of ${chunkMax}`;
      await verification.compare(chunked, cases, { name, width: 8, drafting: "trees" });
    } finally {
      await chunked.close();
    }
  }
}

async function verify(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    ...PROMPT_OPTIONS,
    ...DRAW_OPTIONS,
    ...OUTPUT_OPTIONS,
  });
  const { tokensMax, seed, temperature: sampled } = readDraw(values, 0.8);
  const prompts = await askedPrompts(values);
  const settings = await prepareSession(values);
  const progress = new Progress("verify");
  const verification = new Verification(tokensMax, progress);
  await runAll(verification, settings, prompts, sampled > 0 ? [0, sampled] : [0], seed);
  const sum = (pick: (result: ModeResult) => number) =>
    Object.values(verification.modes).reduce((total, result) => total + pick(result), 0);
  const report = {
    prompts: prompts.length,
    comparisons: sum((result) => result.comparisons),
    differing_tokens: sum((result) => result.differing_tokens),
    modes: verification.modes,
  };
  progress.done(`${report.comparisons} comparisons, ${report.differing_tokens} differing tokens`);
  await publish({ bench: "verify", args, values, model: settings.model, figures: report });
  return report.differing_tokens === 0 ? 0 : 1;
}

export const command: Command = {
  summary: "check that speculation changes no token",
  help: `Checks that speculation changes no token: greedy and sampled, alone and among others.

  redraft verify --prompts FILE [--limit N] [OPTIONS]     (deno task verify)

  --prompts FILE     one {"id", "category", "turns"} a line
  --limit N          that many prompts, taken at even distances
  --max-tokens N     of each answer (default 256)
  --temperature T    beside greedy (default 0.8; 0: greedy alone)
  --seed N           of the first prompt; the next ones follow (default 1)
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

The reference is plain decoding, one sequence at a time. The exit status is 1 if any token differs.

Example:
  redraft verify --prompts dev.jsonl --limit 100 --json
`,
  run: verify,
};

if (import.meta.main) await runCommand(command, Deno.args);
