/** Builds a simulated device that runs nvcc's own PTX of the kernels: no GPU, no driver. @module */
import { basename, dirname, join, relative } from "node:path";
import { CudaHostBuild, MAIN } from "./build_cuda_host.ts";
import { hostCompilerFlags, NVCC_FLAGS } from "./build_cuda.ts";
import { findCompiler } from "./compiler.ts";
import { writeImages } from "./cuda_images.ts";
import {
  type Compilation,
  CUDA_BUILD,
  listCudaSources,
  ObjectCache,
  SIM_DRIVER,
} from "./cuda_sources.ts";
import { findCudaToolkit } from "./cuda_toolkit.ts";
import { ROOT, writeAtomic } from "./paths.ts";
import { Progress } from "./progress.ts";

/** The oldest architecture: what every device that we serve understands. */
const ARCH = "compute_80";

/** A kernel source, and what takes its place. */
export interface Changed {
  source: string;
  text: string;
}

/** Has nvcc write the PTX of each kernel source, with the flags of its machine code.
 * @returns The files, in order.
 * @throws {ProcessError} With nvcc's words. */
async function buildPtx(changed?: Changed): Promise<string[]> {
  const { kernels } = await listCudaSources();
  const toolkit = await findCudaToolkit();
  const hostFlags = await hostCompilerFlags();
  const progress = new Progress("ptx");
  const cache = new ObjectCache(progress);
  const compilation = (source: string, flags: string[] = []): Compilation => ({
    source,
    kind: "ptx",
    program: toolkit.nvcc,
    args: [...NVCC_FLAGS, ...flags, `-arch=${ARCH}`, ...hostFlags, "-ptx"],
    identity: toolkit.identity,
  });
  const compilations = kernels.map((source) => compilation(source));
  if (changed) {
    const copy = join(CUDA_BUILD, "mutants", "ptx", basename(changed.source));
    await writeAtomic(copy, changed.text);
    const place = kernels.indexOf(changed.source);
    compilations[place] = compilation(relative(ROOT, copy), [`-I${dirname(changed.source)}`]);
  }
  const files = await cache.compile(compilations);
  if (cache.builtCount > 0) progress.done(`${cache.builtCount} of ${kernels.length} compiled`);
  return files;
}

export interface PtxBuild {
  /** The simulated device: for `REDRAFT_CUDA_DRIVER`. */
  driver: string;
  /** Tests of the interpreter itself. */
  tests: string;
}

/** @param changed A deliberately broken kernel among the others. */
export async function buildPtxDriver(changed?: Changed): Promise<PtxBuild> {
  const files = await buildPtx(changed);
  const build = new CudaHostBuild(await findCompiler());
  const { ptx, ptxTests } = await listCudaSources();
  const suffix = changed ? "_changed" : "";
  const images = await writeImages(files, `ptx_images${suffix}.cc`);
  const kernels = "kernels/cuda/ptx/ptx_kernels.cc"; // What the simulated device calls.
  const interpreter = await build.compileInterpreter(ptx.filter((source) => source !== kernels));
  const device = await build.compile([kernels, images, ...SIM_DRIVER], false);
  const tests = await build.compile([...ptxTests, MAIN], false);
  const result = {
    driver: await build.link(`libcuda_ptx${suffix}.so`, [...interpreter, ...device], ["-shared"]),
    tests: await build.link("tests/ptx_test", [...interpreter, ...tests]),
  };
  if (build.cache.builtCount > 0) build.progress.done(`${build.cache.builtCount} built`);
  return result;
}
