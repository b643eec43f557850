/** `redraft bench acceptance`: tokens per step by the size of the tree, each tree verified whole.
 * What a tree gains depends on the model and its head, not on the machine: a plan for another
 * machine, or a synthetic model, replays it. @module */
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, realNumber, UsageError, wholeNumber } from "../cli/options.ts";
import type { DraftBudget } from "../gpu-node/engine.ts";
import { readJsonOrNull, ROOT } from "../tools/paths.ts";
import { Progress } from "../tools/progress.ts";
import { askedPrompts, PROMPT_OPTIONS } from "./prompt_options.ts";
import type { Prompt } from "./prompts.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { drawnCount, prepareSession, Session, SESSION_OPTIONS } from "./session.ts";
import { countDiffering, round4 } from "./stats.ts";

/** Packed tokens of a tree, root included; 1 is plain decoding. */
export const TREE_SIZES = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64] as const;

/** The tree of so many tokens, by the draft head alone: lookups gain where a text repeats itself,
 * which says nothing about another text. */
export function treeBudget(packedMax: number): DraftBudget {
  const [beamWidth, beamLength] = packedMax < 2 ? [0, 0] : packedMax < 24 ? [4, 6] : [8, 8];
  return { beamWidth, beamLength, packedMax: packedMax < 2 ? 0 : packedMax };
}

export interface Acceptance {
  prompts: number;
  tokens: number;
  temperature: number;
  /** By the tree's size. */
  tokens_per_step: Record<string, number>;
  differing_tokens: number;
  /** SHA-256 of the head's weights: the figures are that head's alone. */
  head_digest: string;
}

/** What the repository keeps of the default model, made by this bench.
 * @throws {Error} If the file is not there. */
export async function keptAcceptance(): Promise<Acceptance> {
  const file = `${ROOT}/bench/gpu_acceptance.json`;
  const record = await readJsonOrNull<{ figures: Acceptance }>(file);
  if (!record) throw new Error(`Cannot read ${file}: redraft bench acceptance --save makes it`);
  return record.figures;
}

async function measure(
  session: Session,
  prompts: Prompt[],
  tokensMax: number,
  temperature: number,
): Promise<Acceptance> {
  const progress = new Progress("bench acceptance");
  const encoded = prompts.map(({ turns }) =>
    session.encodeChat([{ role: "user", content: turns[0] }])
  );
  const references: number[][] = [];
  const perStep: Record<string, number> = {};
  let tokens = 0, differing = 0;
  for (const size of TREE_SIZES) {
    let drawn = 0, steps = 0;
    for (const [index, prompt] of encoded.entries()) {
      const options = { tokensMax, temperature, seed: index + 1, budget: treeBudget(size) };
      const generated = await session.generate(prompt, options);
      // The first token is the prompt's own step.
      drawn += drawnCount(generated) - 1;
      steps += generated.steps.length - 1;
      references[index] ??= generated.tokens;
      differing += countDiffering(references[index], generated.tokens);
      progress.update(`trees of ${size}: ${index + 1} of ${prompts.length}`);
    }
    perStep[size] = round4(drawn / steps);
    tokens += drawn;
  }
  progress.done(`${tokens} tokens`);
  return {
    prompts: prompts.length,
    tokens,
    temperature,
    tokens_per_step: perStep,
    differing_tokens: differing,
    head_digest: session.engine.model.headDigest,
  };
}

async function acceptance(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    ...PROMPT_OPTIONS,
    temperature: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const tokensMax = wholeNumber(values, "max-tokens", { min: 2, max: 65536, fallback: 128 });
  const temperature = realNumber(values, "temperature", { min: 0, max: 2, fallback: 0 });
  const prompts = await askedPrompts(values);
  const settings = await prepareSession(values);
  if (settings.head === null) throw new UsageError("Option '--head' is none: nothing is drafted");
  const session = await Session.open(settings);
  let figures: Acceptance;
  try {
    figures = await measure(session, prompts, tokensMax, temperature);
  } finally {
    await session.close();
  }
  await publish({
    bench: "acceptance",
    args,
    values,
    model: settings.model,
    figures: { ...figures },
  });
  return figures.differing_tokens === 0 ? 0 : 1;
}

export const command: Command = {
  summary: "tokens per step by the size of the tree",
  help: `Measures what trees of each size gain, verified whole, drafted by the head alone.

  redraft bench acceptance --prompts FILE [--limit N] [OPTIONS]

  --prompts FILE     one {"id", "category", "turns"} a line; first turns are asked
  --limit N          that many prompts, taken at even distances
  --max-tokens N     of each answer (default 128)
  --temperature T    default 0, greedy
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

redraft plan and redraft bench gpu replay what bench/gpu_acceptance.json keeps of it. The exit
status is 1 if any token differs from plain decoding's.

Example:
  redraft bench acceptance --prompts dev.jsonl --limit 42 --save bench/gpu_acceptance.json
`,
  run: acceptance,
};
