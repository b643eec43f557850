/** Speculation on and off on the CUDA engine, over a simulated device that runs nvcc's PTX:
 * `deno task verify:cuda` takes the whole default model, minutes long; a test takes a cut of it.
 * @module */
import { join } from "node:path";
import { parseArgs } from "node:util";
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

const HELP = `Compares tokens with speculation on and off on the CUDA engine, over the whole default
model, on a simulated device that runs nvcc's PTX.

  deno task verify:cuda [--prompts N] [--tokens N] [--head FOLDER]
  deno task verify:cuda --gateway [--tokens N]

  --prompts N    of the ${PROMPTS.length} that are there (default 3)
  --tokens N     how many are drawn of each (default 16): each takes the host seconds
  --head FOLDER  the draft head (default: the shipped one)
  --gateway      asks through a gateway and a node that run on it
`;

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      help: { type: "boolean", short: "h" },
      gateway: { type: "boolean" },
      tokens: { type: "string", default: "16" },
      prompts: { type: "string", default: "3" },
      head: { type: "string", default: HEAD },
    },
  });
  if (values.help) {
    console.log(HELP);
    Deno.exit(0);
  }
  if (values.gateway) {
    const asked = await askSimulated(Number(values.tokens));
    console.log(JSON.stringify(asked));
    const drafted = asked.backend === "cuda" && asked.text !== "" && asked.accepted > 0;
    Deno.exit(asked.equal && drafted ? 0 : 1);
  }
  const verified = await verifySimulated({
    model: await pullModel(),
    head: values.head,
    prompts: PROMPTS.slice(0, Number(values.prompts)),
    tokensMax: Number(values.tokens),
  });
  console.log(JSON.stringify(verified));
}
