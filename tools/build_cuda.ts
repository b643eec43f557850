/** Builds the CUDA kernels: nvcc from PyPI compiles each for every architecture; no GPU and no
 * driver is needed. @module */
import { type Compilation, listCudaSources, ObjectCache } from "./cuda_sources.ts";
import { findCudaToolkit } from "./cuda_toolkit.ts";
import { readResources, type Resources } from "./cuda_report.ts";
import { findCompiler } from "./compiler.ts";
import { COMMON_FLAGS } from "./kernel_sources.ts";
import { readJsonOrNull, writeAtomic } from "./paths.ts";
import { Progress } from "./progress.ts";

/** Ampere, Hopper, Blackwell; and PTX, from which a driver compiles for what comes after. */
export const ARCHS = ["sm_80", "sm_90a", "sm_100"] as const;

/** How the sources are read, whatever is made of them. */
export const NVCC_FLAGS = [
  "-O3",
  "-std=c++20",
  // a * b + c rounds as written, as on the CPU; where one rounding is meant, the source says so.
  "-fmad=false",
  "--expt-relaxed-constexpr",
  ...COMMON_FLAGS.filter((flag) => flag.startsWith("-I")),
];

/** @param archs Those to make machine code for. */
const fatbinFlags = (archs: readonly string[]) => [
  ...NVCC_FLAGS,
  "-Xptxas=-v",
  ...archs.map((arch) => `-gencode=arch=${arch.replace("sm_", "compute_")},code=${arch}`),
  "-gencode=arch=compute_80,code=compute_80",
  "-fatbin",
];

/** nvcc only preprocesses with the host's compiler; one that it cannot drive is not forced on
 * it. */
export async function hostCompilerFlags(): Promise<string[]> {
  const { prefix, path } = await findCompiler();
  return prefix.length === 0 ? [`-ccbin=${path}`] : [];
}

export interface CudaKernels {
  /** Fat binaries, one a source. */
  fatbins: string[];
  resources: Resources[];
}

const resourcesFile = (fatbin: string) => `${fatbin}.json`;

/** Compiles all kernels; what did not change is not compiled again.
 * @throws {ProcessError} With nvcc's words. */
export async function buildCudaKernels(
  archs: readonly string[] = ARCHS,
): Promise<CudaKernels> {
  const { kernels } = await listCudaSources();
  const toolkit = await findCudaToolkit();
  const hostFlags = await hostCompilerFlags();
  const progress = new Progress("cuda kernels");
  const cache = new ObjectCache(progress);
  const compilations = kernels.map((source): Compilation => ({
    source,
    kind: "fatbin",
    program: toolkit.nvcc,
    args: [...fatbinFlags(archs), ...hostFlags],
    identity: toolkit.identity,
  }));
  const fatbins = await cache.compile(compilations, async (fatbin, words) => {
    await writeAtomic(resourcesFile(fatbin), JSON.stringify(readResources(words)));
  });
  const resources: Resources[] = [];
  for (const fatbin of fatbins) {
    resources.push(...await readJsonOrNull<Resources[]>(resourcesFile(fatbin)) ?? []);
  }
  if (cache.builtCount > 0) progress.done(`${cache.builtCount} of ${kernels.length} compiled`);
  return { fatbins, resources };
}
