/** The report of `deno task build:cuda --report`: what nvcc says of each kernel, what its machine
 * code shows, what a run of the same source on the host counts. @module */
import { dirname } from "node:path";
import { ARCHS, type CudaKernels } from "./build_cuda.ts";
import { buildReportProgram } from "./build_cuda_host.ts";
import {
  type AreaRatio,
  areaRatios,
  type Counted,
  type ReportLine,
  reportLines,
  reportProblems,
} from "./cuda_report.ts";
import { type Inspected, readSass } from "./cuda_sass.ts";
import { JOBS_MAX } from "./cuda_sources.ts";
import { findCudaToolkit, findDisassembler } from "./cuda_toolkit.ts";
import { readJsonOrNull, writeAtomic } from "./paths.ts";
import { inParallel, runOrThrow } from "./process.ts";

/** Disassembles the machine code of every fat binary, once. */
async function inspectKernels(fatbins: readonly string[]): Promise<Inspected[]> {
  const { cuobjdump } = await findCudaToolkit();
  const PATH = `${dirname(await findDisassembler())}:${Deno.env.get("PATH") ?? ""}`;
  const inspected: Inspected[] = [];
  await inParallel(fatbins, JOBS_MAX, async (fatbin) => {
    const kept = `${fatbin}.sass.json`;
    let own = await readJsonOrNull<Inspected[]>(kept);
    if (own === null) {
      const { stdout } = await runOrThrow(cuobjdump, ["-sass", fatbin], { env: { PATH } });
      own = readSass(stdout);
      await writeAtomic(kept, JSON.stringify(own));
    }
    inspected.push(...own);
  });
  return inspected;
}

/** Runs each kernel on the host at its report's shape. */
async function countCalls(): Promise<Counted[]> {
  const { stdout } = await runOrThrow(await buildReportProgram(), []);
  return stdout.trim().split("\n").map((line) => JSON.parse(line) as Counted);
}

export interface CudaReport {
  kernels: ReportLine[];
  areas: AreaRatio[];
  /** Empty, or the build fails. */
  problems: string[];
}

export async function reportCudaKernels(
  { fatbins, resources }: CudaKernels,
): Promise<CudaReport> {
  const kernels = reportLines(resources, await inspectKernels(fatbins), await countCalls());
  const problems = reportProblems(kernels, ARCHS);
  for (const name of new Set(resources.map(({ name }) => name))) {
    if (!kernels.some((line) => line.name === name)) problems.push(`${name} is not in the report`);
  }
  return { kernels, areas: areaRatios(kernels), problems };
}
