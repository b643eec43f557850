/** llama.cpp as a peer: PyPI's llama-cpp-python in a process of its own, on the same weights
 * requantised to Q4_0, its fast path. @module */
import { basename, dirname, join } from "node:path";
import { CACHE, exists, ROOT } from "../tools/paths.ts";
import { Progress } from "../tools/progress.ts";
import { ensurePackages, findPython } from "../tools/python_packages.ts";
import { PeerError } from "./peer_engine.ts";

export const LLAMA_VERSION = "0.3.36";
const SCRIPT = join(ROOT, "bench", "llama_runner.py");
/** Its threads spin for a moment after a step, and so may ours: neither should cost the other. */
const SETTLE_MS = 200;

/** GCC 12 takes the loading of a tile configuration to read eight bytes alone and drops the stores
 * of the rest, so that llama.cpp's products with AMX crash; these leave stores where they are. */
const BUILD_FLAGS = "-fno-tree-dse -fno-dse";

export interface LlamaGenerated {
  seconds: number;
  /** A few more than were asked for, where the last step's drafts were right. */
  tokens: number[];
  steps: number;
}

/** Builds the package from its sources, once.
 * @returns What to put into PYTHONPATH.
 * @throws {PythonError} With the compiler's own words. */
export async function ensureLlama(): Promise<string> {
  const progress = new Progress("llama-cpp-python");
  const build = `--config-settings=cmake.args=-DCMAKE_CXX_FLAGS=${BUILD_FLAGS}`;
  // pip's cache does not know with which settings a wheel was built.
  const requirements = [`llama-cpp-python==${LLAMA_VERSION}`, build, "--no-cache-dir"];
  return await ensurePackages("llama", requirements, { progress });
}

/** A process that runs one order at a time. Close it: it holds a model. */
export class LlamaPeer {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";

  private constructor(child: Deno.ChildProcess, readonly name: string) {
    this.#child = child;
    this.#writer = child.stdin.getWriter();
    this.#lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Requantises `model` beside the downloads, once, and loads that.
   * @param sequencesMax As many as `decode()` will be given. */
  static async open(model: string, threads: number, sequencesMax: number): Promise<LlamaPeer> {
    const packages = await ensureLlama();
    const child = new Deno.Command(await findPython(), {
      args: [SCRIPT],
      env: { PYTHONPATH: packages },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const peer = new LlamaPeer(child, `llama.cpp (llama-cpp-python ${LLAMA_VERSION}, Q4_0)`);
    try {
      const file = await peer.#requantised(model);
      await peer.#order({ op: "open", model: file, threads, sequences: sequencesMax });
      return peer;
    } catch (error) {
      await peer.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => {}); // It has ended already.
    await this.#lines.cancel();
    await this.#child.status;
  }

  /** Seconds until the token after `tokens` is known. */
  async promptSeconds(tokens: Uint32Array): Promise<number> {
    return Number((await this.#order({ op: "prompt", tokens: [...tokens] })).seconds);
  }

  /** Seconds of `count - 1` steps that decode all of `prompts` together, prompts not counted. */
  async decodeSeconds(prompts: readonly Uint32Array[], count: number): Promise<number> {
    const lists = prompts.map((tokens) => [...tokens]);
    return Number((await this.#order({ op: "decode", prompts: lists, count })).seconds);
  }

  /** Greedy, past stop tokens, prompt included. With `lookup`, tokens that followed the same ones
   * before are drafted (LlamaPromptLookupDecoding). */
  async generate(tokens: Uint32Array, count: number, lookup: boolean): Promise<LlamaGenerated> {
    const order = { op: "generate", tokens: [...tokens], count, lookup };
    return await this.#order(order) as unknown as LlamaGenerated;
  }

  async #requantised(model: string): Promise<string> {
    const name = basename(model).replace(/\.gguf$/, "");
    const stat = await Deno.stat(model);
    const stamp = `${stat.size}.${stat.mtime?.getTime() ?? 0}`;
    const target = join(CACHE, "llama", `${name}.${stamp}.q4_0.gguf`);
    if (await exists(target)) return target;
    await Deno.mkdir(dirname(target), { recursive: true });
    const half = `${target}.${Deno.pid}.tmp`;
    try {
      await this.#order({ op: "quantize", source: model, target: half });
      await Deno.rename(half, target);
    } finally {
      await Deno.remove(half).catch(() => {}); // Renamed, or never written.
    }
    return target;
  }

  async #order(order: Record<string, unknown>): Promise<Record<string, unknown>> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    try {
      await this.#writer.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    } catch {
      throw new PeerError(`Cannot run llama.cpp: its process ended before ${order.op}`);
    }
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new PeerError(`Cannot run llama.cpp: its process ended in ${order.op}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const answer = JSON.parse(this.#rest.slice(0, end));
    this.#rest = this.#rest.slice(end + 1);
    if (answer.error !== undefined) throw new PeerError(`Cannot run llama.cpp: ${answer.error}`);
    return answer;
  }
}
