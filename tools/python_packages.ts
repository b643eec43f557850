/** Python packages for our own use, in folders of the cache: nothing is installed into the user's
 * Python.
 *
 * `pip install --target` rather than a virtual environment: it needs pip alone, and Debian's
 * python3 comes without the parts that `python3 -m venv` needs. @module */
import { join } from "node:path";
import { CACHE, exists, readJsonOrNull, writeAtomic } from "./paths.ts";
import { findProgram, ProcessError, runOrThrow, runProcess } from "./process.ts";
import type { Progress } from "./progress.ts";

/** This machine's Python cannot do what a tool needs; the message says what to install. */
export class PythonError extends Error {
  override readonly name = "PythonError";
}

/** Finds a Python >= 3.9 that has pip.
 * @throws {PythonError} If there is none; the message says what to do. */
export async function findPython(): Promise<string> {
  const reasons: string[] = [];
  for (const name of [Deno.env.get("PYTHON"), "python3", "python"]) {
    const path = name && await findProgram(name);
    if (!path) continue;
    const probe = await runProcess(path, [
      "-c",
      "import sys; assert sys.version_info >= (3, 9), 'older than 3.9'; import pip",
    ]);
    if (probe.code === 0) return path;
    reasons.push(`${path}: ${probe.stderr.trim().split("\n").at(-1)}`);
  }
  throw new PythonError(
    "Cannot fetch from PyPI: no Python >= 3.9 with pip on PATH" +
      (reasons.length ? ` (${reasons.join("; ")})` : "") +
      ". Install it (Debian, Ubuntu: apt install python3-pip), or name one in PYTHON",
  );
}

/** Runs pip, showing what it says.
 * @throws {ProcessError} With pip's own words. */
export async function runPip(
  python: string,
  args: readonly string[],
  progress: Progress,
): Promise<void> {
  // Off a terminal pip shows no bar; what it said last and a clock show that it goes on.
  let state = "starting pip";
  const startedAt = performance.now();
  const timer = setInterval(() => {
    progress.update(`${state}, ${Math.round((performance.now() - startedAt) / 1000)} s`);
  }, 1000);
  try {
    const quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"];
    const [verb, ...rest] = args;
    await runOrThrow(python, ["-m", "pip", verb, ...quiet, ...rest], {
      onLine: (line) => state = line.trim().slice(0, 100) || state,
    });
  } finally {
    clearInterval(timer);
  }
}

export interface PackageOptions {
  progress: Progress;
  /** Installed anew when this changes: the text of a requirements file, say. */
  stamp?: string;
}

/** Makes packages importable from the returned folder (to be put into PYTHONPATH), once.
 * @param name Folder in the cache.
 * @param requirements As pip's command line takes them. */
export async function ensurePackages(
  name: string,
  requirements: readonly string[],
  { progress, stamp }: PackageOptions,
): Promise<string> {
  const python = await findPython();
  const folder = join(CACHE, "python", name);
  const marker = join(folder, ".installed.json");
  const wanted = JSON.stringify({ python: await Deno.realPath(python), requirements, stamp });
  if (JSON.stringify(await readJsonOrNull(marker)) === wanted) return folder;
  // What an interrupted run left is of unknown state, so it goes; pip's own download cache makes
  // that cheap.
  if (await exists(folder)) await Deno.remove(folder, { recursive: true });
  await Deno.mkdir(folder, { recursive: true });
  const shown = requirements.join(" ");
  progress.note(`${progress.label}: installing ${shown}`);
  try {
    await runPip(python, ["install", "--target", folder, ...requirements], progress);
  } catch (error) {
    if (!(error instanceof ProcessError)) throw error;
    throw new PythonError(`Cannot install ${shown} from PyPI: ${error.message}`);
  }
  await writeAtomic(marker, wanted);
  progress.done("installed");
  return folder;
}
