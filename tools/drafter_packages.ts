/** The Python packages of `drafter/`, for the trainer and for its tests. @module */
import { delimiter, join } from "node:path";
import { CPU_LIBRARY, ROOT } from "./paths.ts";
import { Progress } from "./progress.ts";
import { runProcess } from "./process.ts";
import { ensurePackages, findPython, PythonError } from "./python_packages.ts";

export interface PythonEnvironment {
  python: string;
  env: Record<string, string>;
}

/** JAX has no older one. */
const PYTHON_LEAST = "3.11";

async function assertPythonVersion(): Promise<void> {
  const python = await findPython();
  const code = "import sys; print('%d.%d' % sys.version_info[:2])";
  const version = (await runProcess(python, ["-c", code])).stdout.trim();
  if (version.localeCompare(PYTHON_LEAST, undefined, { numeric: true }) < 0) {
    throw new PythonError(
      `Cannot train with ${python}: it is Python ${version}, JAX needs ${PYTHON_LEAST}. ` +
        "Name a newer one in PYTHON",
    );
  }
}

/** Makes `python -m redraft_drafter` runnable.
 * @param more Packages beside those of requirements.lock.
 * @throws {PythonError} If Python is too old, or the packages cannot be had. */
export async function drafterEnvironment(more: readonly string[] = []): Promise<PythonEnvironment> {
  await assertPythonVersion();
  const drafter = join(ROOT, "drafter");
  const requirements = join(drafter, "requirements.lock");
  const folders = [
    await ensurePackages("drafter", ["--requirement", requirements], {
      progress: new Progress("trainer"),
      stamp: await Deno.readTextFile(requirements),
    }),
  ];
  if (more.length) {
    const progress = new Progress("trainer's tests");
    folders.push(await ensurePackages("drafter-tests", more, { progress }));
  }
  const path = [drafter, ...folders, Deno.env.get("PYTHONPATH")].filter(Boolean).join(delimiter);
  return { python: await findPython(), env: { PYTHONPATH: path, REDRAFT_LIBRARY: CPU_LIBRARY } };
}
