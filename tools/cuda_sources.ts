/** What of `kernels/` belongs to CUDA, and the objects made of it. @module */
import { basename, dirname, join, relative } from "node:path";
import { BUILD, exists, KERNELS, ROOT } from "./paths.ts";
import { SourceHasher } from "./kernel_sources.ts";
import { inParallel, ProcessError, runProcess } from "./process.ts";
import type { Progress } from "./progress.ts";

export const CUDA_BUILD = join(BUILD, "cuda");

/** A build here leaves a core to whoever else works on the machine. */
export const JOBS_MAX = Math.min(2, navigator.hardwareConcurrency);

export interface CudaSources {
  /** Kernels, `x.cu`. */
  kernels: string[];
  /** Their tests on the host, `x_cuda_test.cu`. */
  tests: string[];
  /** What runs kernels without a GPU, and what tests of kernels need beside it. */
  host: string[];
  /** The engine: the host side of `libredraft_cuda.so`. */
  engine: string[];
  /** A program that runs each kernel once at a named shape and counts. */
  report: string[];
  /** What runs nvcc's PTX, and its own tests. */
  ptx: string[];
  ptxTests: string[];
}

/** Weights as kernels read them: of the engine, and of tests. */
export const WEIGHTS = ["kernels/cuda/dense_weights.cc", "kernels/cuda/device_matrix.cc"];

/** The engine's tests, through the C ABI and beside it. */
export const ENGINE_TESTS = [
  "kernels/engine/engine_test.cc",
  "kernels/engine/engine_draft_test.cc",
  "kernels/engine/engine_shapes_test.cc",
  "kernels/cuda/sim/cuda_engine_test.cc",
  "kernels/cuda/sim/cuda_graph_test.cc",
  "kernels/cuda/sim/cuda_products_test.cc",
];

/** The simulated device, what takes cuBLASLt's place on it, and what takes the fat binaries'. */
export const SIM_DRIVER = ["kernels/cuda/sim/sim_driver.cc", "kernels/cuda/sim/sim_graph.cc"];
export const SIM_CUBLASLT = "kernels/cuda/sim/sim_cublaslt.cc";
export const SIM_IMAGES = "kernels/cuda/sim/sim_images.cc";

/** All paths relative to the repository, sorted. */
export async function listCudaSources(): Promise<CudaSources> {
  const found: CudaSources = {
    kernels: [],
    tests: [],
    host: [],
    engine: [],
    report: [],
    ptx: [],
    ptxTests: [],
  };
  const walk = async (folder: string) => {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      const name = relative(ROOT, path);
      if (entry.isDirectory) {
        if (entry.name !== "glue") await walk(path);
      } else if (entry.name.endsWith("_test.cu")) found.tests.push(name);
      else if (entry.name.endsWith(".cu")) found.kernels.push(name);
      else if (!entry.name.endsWith(".cc")) continue;
      else if (name.startsWith("kernels/cuda/report/")) found.report.push(name);
      else if (name.startsWith("kernels/cuda/sim/")) continue; // Named by those who link them.
      else if (name.startsWith("kernels/cuda/host/")) found.host.push(name);
      else if (name.startsWith("kernels/cuda/ptx/")) {
        (name.endsWith("_test.cc") ? found.ptxTests : found.ptx).push(name);
      } else if (name.startsWith("kernels/cuda/")) found.engine.push(name);
    }
  };
  await walk(KERNELS);
  found.host.push(...WEIGHTS);
  for (const list of Object.values(found)) list.sort();
  return found;
}

export interface Compilation {
  /** Relative to the repository. */
  source: string;
  /** Ends the object's name: what of the source it is. */
  kind: string;
  program: string;
  args: string[];
  /** Changes whenever the compiler does. */
  identity: string;
}

/** Objects by content: what was compiled once with the same sources, flags and compiler is not
 * compiled again. */
export class ObjectCache {
  readonly #hasher = new SourceHasher();
  readonly #folder = join(CUDA_BUILD, "objects");
  builtCount = 0;

  constructor(readonly progress: Progress) {}

  /** Where the object of a compilation lies, or will. */
  path({ source, kind, args, identity }: Compilation): string {
    const hash = this.#hasher.hash(source, [...args, identity]).slice(0, 24);
    const name = source.replace(/^kernels\//, "").replaceAll("/", "__");
    return join(this.#folder, `${name}.${hash}.${kind}`);
  }

  /** Compiles what is not there. `onWords` gets what the compiler said, before the object takes its
   * name.
   * @returns The objects, in order. */
  async compile(
    compilations: readonly Compilation[],
    onWords?: (object: string, words: string) => Promise<void>,
  ): Promise<string[]> {
    await Deno.mkdir(this.#folder, { recursive: true });
    const objects = compilations.map((compilation) => this.path(compilation));
    const missing: number[] = [];
    for (const [index, object] of objects.entries()) {
      if (!await exists(object)) missing.push(index);
    }
    let done = 0;
    await inParallel(missing, JOBS_MAX, async (index) => {
      const { source, program, args } = compilations[index];
      await this.produce(program, [...args, source], objects[index], onWords);
      this.progress.update(`${++done} of ${missing.length} compiled, ${source}`);
    });
    return objects;
  }

  /** Runs a compiler or linker; its output takes its name only when whole.
   * @throws {ProcessError} With its words. */
  async produce(
    program: string,
    args: string[],
    output: string,
    onWords?: (object: string, words: string) => Promise<void>,
  ): Promise<void> {
    const temporary = join(dirname(output), `.${Deno.pid}.${basename(output)}`);
    const result = await runProcess(program, [...args, "-o", temporary], { cwd: ROOT });
    const words = `${result.stdout}${result.stderr}`.trim();
    if (result.code !== 0) {
      await Deno.remove(temporary).catch(() => {}); // A failed compiler may have left nothing.
      throw new ProcessError(`Cannot build ${relative(ROOT, output)}:\n${words}`, result.code);
    }
    if (onWords) await onWords(output, words);
    else if (words) this.progress.note(words);
    await Deno.rename(temporary, output);
    ++this.builtCount;
  }
}
