/** `redraft bench logits`: the engine's logits against a float64 pass over the same model file.
 * @module */
import { join } from "node:path";
import { NODE_OPTIONS_HELP } from "../cli/node_options.ts";
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { CPU_LIBRARY, ROOT } from "../tools/paths.ts";
import { runOrThrow } from "../tools/process.ts";
import { Progress } from "../tools/progress.ts";
import { ensurePackages, findPython } from "../tools/python_packages.ts";
import { ensureLlama, LLAMA_VERSION } from "./peer_llama.ts";
import { askedPrompts, PROMPT_OPTIONS } from "./prompt_options.ts";
import type { Prompt } from "./prompts.ts";
import type { Figures } from "./report_record.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { prepareSession, Session, SESSION_OPTIONS, type SessionOptions } from "./session.ts";

const LIMIT = 11;
const TOKENS_MAX = 400;

/** First turns as the model reads them, one JSON array of token ids a line. */
async function tokenLines(settings: SessionOptions, prompts: Prompt[], tokensMax: number) {
  const session = await Session.open({ ...settings, head: null, slotsMax: 1, pagesMax: 64 });
  try {
    return prompts.map(({ turns }) => {
      const tokens = session.encodeChat([{ role: "user", content: turns[0] }]);
      return JSON.stringify([...tokens.slice(0, tokensMax)]) + "\n";
    }).join("");
  } finally {
    await session.close();
  }
}

async function compare(
  settings: SessionOptions,
  lines: string,
  peer: boolean,
): Promise<Figures> {
  const progress = new Progress("bench logits");
  const packages = await ensurePackages("logits", ["numpy>=1.26", "gguf>=0.17"], { progress });
  const path = [packages, ...(peer ? [await ensureLlama()] : [])].join(":");
  const file = await Deno.makeTempFile({ prefix: "redraft_logits_" });
  try {
    await Deno.writeTextFile(file, lines);
    const script = join(ROOT, "bench", "logits_reference.py");
    const args = ["--model", settings.model, "--library", CPU_LIBRARY, "--tokens", file];
    if (peer) args.push(`--peer=llama.cpp (llama-cpp-python ${LLAMA_VERSION}, the same file)`);
    const { stdout } = await runOrThrow(await findPython(), [
      script,
      ...args,
      `--threads=${settings.threads}`,
    ], {
      env: { PYTHONPATH: path },
      onLine: (line) => progress.update(line.slice(0, 100)),
    });
    progress.done("compared");
    return JSON.parse(stdout);
  } finally {
    await Deno.remove(file);
  }
}

async function logits(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...SESSION_OPTIONS,
    ...PROMPT_OPTIONS,
    peer: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const peer = values.peer !== undefined;
  if (peer && values.peer !== "llama") {
    throw new UsageError(`Option '--peer' must be llama, not ${values.peer}`);
  }
  const tokensMax = wholeNumber(values, "max-tokens", { min: 1, max: 4096, fallback: TOKENS_MAX });
  const prompts = await askedPrompts(values, LIMIT);
  const settings = await prepareSession(values);
  const figures = await compare(settings, await tokenLines(settings, prompts, tokensMax), peer);
  await publish({ bench: "logits", args, values, model: settings.model, figures });
  return 0;
}

export const command: Command = {
  summary: "the engine's logits against float64",
  help: `Holds the engine's logits against a float64 pass over the same GGUF file.

  redraft bench logits --prompts FILE [OPTIONS]

  --prompts FILE     JSON lines {"id", "category", "turns"}; first turns are read
  --limit N          prompts, at even distances (default ${LIMIT})
  --peer llama       the same of llama.cpp: PyPI's llama-cpp-python, built from its sources once
  --max-tokens N     of one prompt, template included (default ${TOKENS_MAX})
${OUTPUT_OPTIONS_HELP}
${NODE_OPTIONS_HELP}

Prints positions, mean and largest KL divergence in nats, and the share of positions at which both
hold the same token for the likeliest. numpy and gguf are installed from PyPI into the cache.

Example:
  redraft bench logits --prompts prompts.jsonl --limit 11 --json
`,
  run: logits,
};
