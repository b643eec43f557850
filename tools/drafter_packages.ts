/** The Python packages of `drafter/`, for the trainer and for its tests. @module */
import { delimiter, join } from "node:path";
import { CPU_LIBRARY, ROOT } from "./paths.ts";
import { Progress } from "./progress.ts";
import { ensurePackages, findPython } from "./python_packages.ts";

export interface PythonEnvironment {
  python: string;
  env: Record<string, string>;
}

/** Makes `python -m redraft_drafter` runnable.
 * @param more Packages beside those of requirements.lock.
 * @throws {PythonError} If there is no Python >= 3.9, or the packages cannot be had. */
export async function drafterEnvironment(more: readonly string[] = []): Promise<PythonEnvironment> {
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
