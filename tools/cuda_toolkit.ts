/** NVIDIA's compiler, from PyPI: nothing needs a driver, a GPU or root. @module */
import { join } from "node:path";
import { exists } from "./paths.ts";
import { Progress } from "./progress.ts";
import { ensurePackages } from "./python_packages.ts";

/** One release, so that a report means the same everywhere. cuobjdump comes apart from it. */
const PACKAGES = ["cuda-toolkit[nvcc,cudart]==13.0.3.0", "nvidia-cuda-cuobjdump==13.5.37"];

export interface CudaToolkit {
  nvcc: string;
  cuobjdump: string;
  /** `cuda.h` and its like. */
  include: string;
  identity: string;
}

/** Fetches the compiler once, 105 MB.
 * @throws {PythonError} If there is no Python with pip, or PyPI does not answer. */
export async function findCudaToolkit(): Promise<CudaToolkit> {
  const folder = await ensurePackages("cuda", PACKAGES, { progress: new Progress("nvcc") });
  const home = join(folder, "nvidia", "cu13");
  const toolkit = {
    nvcc: join(home, "bin", "nvcc"),
    cuobjdump: join(home, "bin", "cuobjdump"),
    include: join(home, "include"),
    identity: PACKAGES.join(" "),
  };
  for (const path of [toolkit.nvcc, toolkit.cuobjdump, join(toolkit.include, "cuda.h")]) {
    if (!await exists(path)) throw new Error(`Cannot use nvcc from PyPI: ${path} is missing`);
  }
  return toolkit;
}

/** Fetches what cuobjdump reads machine code with, 5 MB: a report alone needs it.
 * @returns Its path.
 * @throws {PythonError} As above. */
export async function findDisassembler(): Promise<string> {
  const packages = ["nvidia-cuda-nvdisasm==13.5.37"];
  const folder = await ensurePackages("nvdisasm", packages, { progress: new Progress("nvdisasm") });
  const path = join(folder, "nvidia", "cu13", "bin", "nvdisasm");
  if (!await exists(path)) throw new Error(`Cannot use nvdisasm from PyPI: ${path} is missing`);
  return path;
}
