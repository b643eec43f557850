/** `deno task build:cuda`: the CUDA engine, and what is known of its kernels without a GPU.
 * @module */
import { relative } from "node:path";
import { ARCHS, buildCudaKernels } from "../tools/build_cuda.ts";
import { buildCudaLibrary } from "../tools/build_cuda_host.ts";
import { reportCudaKernels } from "../tools/build_cuda_report.ts";
import { reportTable } from "../tools/cuda_report.ts";
import { ROOT } from "../tools/paths.ts";
import { type Command, parseOptions, runCommand, UsageError } from "./options.ts";

async function build(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    report: { type: "boolean" },
    json: { type: "boolean" },
  });
  if (values.json && !values.report) throw new UsageError("Option '--json' goes with --report");
  const kernels = await buildCudaKernels();
  const library = await buildCudaLibrary(kernels.fatbins);
  const count = new Set(kernels.resources.map(({ name }) => name)).size;
  console.error(`${count} kernels for ${ARCHS.join(", ")}: ${relative(ROOT, library)}`);
  if (!values.report) return 0;
  const { problems, ...report } = await reportCudaKernels(kernels);
  console.log(values.json ? JSON.stringify(report) : reportTable(report.kernels));
  for (const problem of problems) console.error(problem);
  return problems.length ? 1 : 0;
}

const command: Command = {
  summary: "build the CUDA engine; needs no GPU",
  help: `Builds libredraft_cuda.so: kernels for ${
    ARCHS.join(", ")
  }, by nvcc from PyPI. Needs no GPU.

  deno task build:cuda [--report] [--json]

  --report  what each kernel takes: registers, shared memory, spills, occupancy; what its machine
            code shows; and, from a run of the same sources on the host, the bytes and operations of
            a call. Fails on a spill, on local memory, on a product without matrix instructions and
            where tree attention or the draft step move more than 1.15 times the least bytes.
  --json    the report as one JSON object on standard output
`,
  run: build,
};

if (import.meta.main) await runCommand(command, Deno.args);
