/** A model file from a Hugging Face hub: resumable, since such files are long. @module */
import { basename } from "node:path";
import { readJsonOrNull, statOrNull, writeAtomic } from "./paths.ts";
import { formatBytes, Progress } from "./progress.ts";
import type { FetchedFile } from "./fetch_pypi.ts";

const ATTEMPTS_MAX = 6;
const BACKOFF_MS = 500;
const IDLE_TIMEOUT_MS = 60_000;

/** Which file a partial download belongs to. Its bytes are of no use to another one. */
interface Partial {
  url: string;
  tag: string;
}

/** The hub refused, or the file is not what it said. Trying again would not help. */
export class HubError extends Error {
  override readonly name = "HubError";
}

function hubHeaders(): Headers {
  const token = Deno.env.get("HF_TOKEN");
  // fetch drops Authorization by itself when a redirect leads to another origin.
  return new Headers(token ? { authorization: `Bearer ${token}` } : {});
}

function refusal(response: Response, url: string): HubError | null {
  if (response.ok || response.status >= 500 || response.status === 429) return null;
  const hint = response.status === 401 || response.status === 403
    ? "; HF_TOKEN may be missing, or may not cover this repository"
    : "";
  return new HubError(`Cannot fetch ${url}: HTTP ${response.status}${hint}`);
}

async function removePartial(target: string): Promise<void> {
  for (const path of [target, `${target}.json`]) await Deno.remove(path).catch(() => {});
}

/** Goes on where `target` ends, or starts anew where the hub's file has changed. Returns when it is
 * whole. */
async function fetchRest(url: string, target: string, progress: Progress): Promise<void> {
  const partial = await readJsonOrNull<Partial>(`${target}.json`);
  let offset = partial?.url === url ? (await statOrNull(target))?.size ?? 0 : 0;
  const headers = hubHeaders();
  if (offset > 0) {
    headers.set("range", `bytes=${offset}-`);
    headers.set("if-range", partial!.tag);
  }
  const stall = new AbortController();
  let timer = setTimeout(() => stall.abort(), IDLE_TIMEOUT_MS);
  try {
    const response = await fetch(url, { headers, signal: stall.signal });
    // Ours is longer than theirs: not theirs.
    if (response.status === 416) await removePartial(target);
    const refused = refusal(response, url);
    if (!response.ok || !response.body) {
      await response.body?.cancel();
      throw refused ?? new Error(`HTTP ${response.status}`);
    }
    if (response.status !== 206) offset = 0;
    const tag = response.headers.get("etag") ?? "";
    await writeAtomic(`${target}.json`, JSON.stringify({ url, tag } satisfies Partial));
    const length = response.headers.get("content-length");
    const size = length === null ? null : offset + Number(length);
    using file = await Deno.open(target, { write: true, create: true, truncate: offset === 0 });
    await file.seek(offset, Deno.SeekMode.Start);
    for await (const piece of response.body) {
      clearTimeout(timer);
      timer = setTimeout(() => stall.abort(), IDLE_TIMEOUT_MS);
      for (let start = 0; start < piece.length;) start += await file.write(piece.subarray(start));
      offset += piece.length;
      progress.update(`${formatBytes(offset)}${size ? ` of ${formatBytes(size)}` : ""}`);
    }
    if (size !== null && offset !== size) throw new Error(`got ${offset} bytes of ${size}`);
  } finally {
    clearTimeout(timer);
  }
}

/** Downloads `hf:repository/file` from HF_ENDPOINT, with HF_TOKEN where it is set.
 * @throws {HubError} If the hub refuses, or after `ATTEMPTS_MAX` attempts. */
export async function fetchFromHub(
  repository: string,
  file: string,
  target: string,
): Promise<FetchedFile> {
  const endpoint = (Deno.env.get("HF_ENDPOINT") || "https://huggingface.co").replace(/\/+$/, "");
  const path = file.split("/").map(encodeURIComponent).join("/");
  const url = `${endpoint}/${repository}/resolve/main/${path}`;
  const progress = new Progress(basename(file));
  for (let attempt = 1;; ++attempt) {
    try {
      await fetchRest(url, target, progress);
      break;
    } catch (error) {
      if (error instanceof HubError) throw error;
      const words = error instanceof Error ? error.message : String(error);
      if (attempt === ATTEMPTS_MAX) {
        throw new HubError(`Cannot fetch ${url}: ${words}, after ${attempt} attempts`);
      }
      progress.note(`${basename(file)}: ${words}; going on from there`);
      await new Promise((resolve) => setTimeout(resolve, BACKOFF_MS * 2 ** attempt));
    }
  }
  await Deno.remove(`${target}.json`).catch(() => {});
  progress.done("fetched");
  return { path: target, name: basename(file) };
}
