/** Speculation on and off on the CUDA engine, over a simulated device that runs nvcc's PTX:
 * `deno task verify:cuda` takes the whole default model, minutes long; a test takes a cut of it.
 * @module */
import { join } from "node:path";
import {
  type Command,
  parseOptions,
  runCommand,
  UsageError,
  wholeNumber,
} from "../../cli/options.ts";
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { buildCudaEngineTests } from "../../tools/build_cuda_host.ts";
import { buildPtxDriver } from "../../tools/build_cuda_ptx.ts";
import { ROOT } from "../../tools/paths.ts";
import { ProcessError, runProcess } from "../../tools/process.ts";
import { pullModel } from "../../tools/pull_model.ts";
import { testTokenizerJson } from "../support/test_model.ts";
import { askSimulated } from "./gateway_simulated.ts";

export const HEAD = join(ROOT, "drafter", "weights", "smollm2-135m-instruct");

export const PROMPTS: readonly string[] = [
  "Name three rivers in Europe.",
  "def add(a, b):\n    return",
  "The capital of France is",
  "Write a haiku about the sea.",
  "Count from one to ten: one, two,",
  "What is 17 times 3?",
  "Translate to Spanish: good morning",
  "for (let i = 0; i < 10; i++) {",
  "The quick brown fox jumps over",
  "Why is the sky blue?",
  "SELECT name FROM users WHERE",
  "Once upon a time there was",
  "List the planets of the solar system.",
  "Dear Sir or Madam,",
  "A recipe for pancakes: 1. Mix",
  "import numpy as np\n",
  "Who wrote Hamlet?",
  "Explain recursion to a child.",
  "red, green, blue, red, green, blue, red,",
  "Water boils at",
];

export interface Verified {
  sequences: number;
  tokens: number;
  differing_tokens: number;
  drafted: number;
  accepted: number;
}

export interface VerifyOptions {
  /** With the default model's tokenizer. */
  model: string;
  head: string;
  prompts: readonly string[];
  tokensMax: number;
}

/** Runs every prompt without drafts and with them, every second one sampled.
 * @throws {ProcessError} If a token differs, or the engine fails. */
export async function verifySimulated(options: VerifyOptions): Promise<Verified> {
  const { wholeModel } = await buildCudaEngineTests();
  const { driver } = await buildPtxDriver();
  const tokenizer = new ModelTokenizer(await testTokenizerJson());
  const file = await Deno.makeTempFile();
  try {
    const lines = options.prompts.map((prompt) =>
      tokenizer.encode(prompt, { parseSpecial: false }).join(" ")
    );
    await Deno.writeTextFile(file, lines.join("\n"));
    const args = [options.model, options.head, `${options.tokensMax}`, file];
    const { code, stdout, stderr } = await runProcess(wholeModel, args, {
      env: { REDRAFT_CUDA_DRIVER: driver },
      onLine: (line) => console.error(line),
    });
    if (code !== 0) throw new ProcessError(stdout + stderr, code);
    return JSON.parse(stdout);
  } finally {
    await Deno.remove(file);
  }
}

/** A prompt with its tokens fits the program's pages: what `whole_model.cc` allows. */
const TOKENS_MAX = 64;

async function run(args: string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseOptions(args, {
    ...{ gateway: { type: "boolean" }, tokens: text, prompts: text, head: text },
  });
  const tokensMax = wholeNumber(values, "tokens", { min: 1, max: TOKENS_MAX, fallback: 16 });
  const promptCount = { min: 1, max: PROMPTS.length, fallback: 3 };
  const prompts = PROMPTS.slice(0, wholeNumber(values, "prompts", promptCount));
  if (values.gateway) {
    for (const name of ["prompts", "head"]) {
      if (values[name] === undefined) continue;
      throw new UsageError(`Option '--${name}' does not go with --gateway`);
    }
    const asked = await askSimulated(tokensMax);
    console.log(JSON.stringify(asked));
    const drafted = asked.backend === "cuda" && asked.text !== "" && asked.accepted > 0;
    // Further on a tie of two tokens may fall either way.
    return asked.equal && drafted && asked.cpu_alike > 0 ? 0 : 1;
  }
  const head = String(values.head ?? HEAD);
  const verified = await verifySimulated({ model: await pullModel(), head, prompts, tokensMax });
  console.log(JSON.stringify(verified));
  return 0;
}

const command: Command = {
  summary: "speculation on and off on the CUDA engine, without a GPU",
  help: `Compares tokens with speculation on and off on the CUDA engine, over the whole default
model, on a simulated device that runs nvcc's PTX.

  deno task verify:cuda [--prompts N] [--tokens N] [--head FOLDER]
  deno task verify:cuda --gateway [--tokens N]

  --prompts N    of the ${PROMPTS.length} that are there (default 3)
  --tokens N     how many are drawn of each (default 16, at most ${TOKENS_MAX}): each takes the host
                 seconds
  --head FOLDER  the draft head (default: the shipped one)
  --gateway      asks through a gateway and a node that run on it, and the CPU engine the same
`,
  run,
};

if (import.meta.main) await runCommand(command, Deno.args);
