/** Which draft head goes with a model: the shipped one that was trained for its very bytes. @module
 */
import { join, resolve } from "node:path";
import { readJsonOrNull, ROOT, statOrNull } from "../tools/paths.ts";
import { fileSha256 } from "../tools/pull_model.ts";

const WEIGHTS = join(ROOT, "drafter", "weights");

/** Finds the shipped head whose config.json names the model's digest; `null` where there is none.
 */
export async function findDraftHead(modelPath: string): Promise<string | null> {
  if (!await statOrNull(WEIGHTS)) return null;
  const digest = await fileSha256(modelPath);
  const folders = [WEIGHTS];
  for await (const entry of Deno.readDir(WEIGHTS)) {
    if (entry.isDirectory) folders.push(join(WEIGHTS, entry.name));
  }
  for (const folder of folders.sort()) {
    const config = await readJsonOrNull<{ target_digest?: string }>(join(folder, "config.json"));
    if (config?.target_digest === digest) return folder;
  }
  return null;
}

/** The head that `--head` names: a folder, `none`, or the shipped one where it is not given. */
export async function chooseDraftHead(
  option: string | undefined,
  modelPath: string,
): Promise<string | null> {
  if (option === "none") return null;
  return option === undefined ? await findDraftHead(modelPath) : resolve(option);
}
