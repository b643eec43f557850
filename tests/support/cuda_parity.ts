/** How far the CUDA engine's logits are from the CPU engine's, over a simulated device, and how far
 * bf16 alone would put them. @module */
import { ModelTokenizer } from "../../gateway/tokenizer.ts";
import { ProcessError, runProcess } from "../../tools/process.ts";
import { testTokenizerJson } from "./test_model.ts";

/** Root mean squares of the difference, as parts of the second's own. */
export interface Distance {
  hidden: number;
  logits: number;
  /** Rows whose likeliest token is the same. */
  same_best: number;
}

export interface Parity {
  rows: number;
  cuda_cpu: Distance;
  cuda_f64: Distance;
  cpu_f64: Distance;
  /** Of an f64 pass whose weights and rows are rounded to bf16 before each product. */
  bf16_f64: Distance;
}

export interface ParityOptions {
  /** `buildCudaEngineTests()`'s `logitsParity`. */
  program: string;
  driver: string;
  /** With the default model's tokenizer. */
  model: string;
  text: string;
}

/** @throws {ProcessError} If an engine fails. */
export async function measureParity(options: ParityOptions): Promise<Parity> {
  const tokenizer = new ModelTokenizer(await testTokenizerJson());
  const file = await Deno.makeTempFile();
  try {
    const tokens = tokenizer.encode(options.text, { parseSpecial: false });
    await Deno.writeTextFile(file, tokens.join(" "));
    const { code, stdout, stderr } = await runProcess(options.program, [options.model, file], {
      env: { REDRAFT_CUDA_DRIVER: options.driver },
    });
    if (code !== 0) throw new ProcessError(stdout + stderr, code);
    return JSON.parse(stdout);
  } finally {
    await Deno.remove(file);
  }
}

/** Two engines that round as bf16 does, apart from each other, differ by the root of two times what
 * one differs from no rounding: so much bf16 explains. Hidden states get twice it, for the CPU's
 * rows have 8 bits, as bf16 has, but a block of 32 shares the exponent.
 * @returns What is more than that, a line each. */
export function parityProblems({ rows, cuda_cpu, cuda_f64, bf16_f64 }: Parity): string[] {
  const bounds: Array<[what: string, is: number, most: number]> = [
    ["logits from the CPU's", cuda_cpu.logits, Math.SQRT2 * bf16_f64.logits],
    ["hidden states from the CPU's", cuda_cpu.hidden, 2 * bf16_f64.hidden],
    // By themselves the CUDA engine's rows have 15 bits: bf16's error is far off.
    ["logits from f64's", cuda_f64.logits, bf16_f64.logits / 4],
    ["hidden states from f64's", cuda_f64.hidden, bf16_f64.hidden / 4],
    ["rows whose likeliest token is not the CPU's", rows - cuda_cpu.same_best, 0],
  ];
  return bounds.filter(([, is, most]) => !(is <= most))
    .map(([what, is, most]) => `${what}: ${is}, at most ${most}`);
}
