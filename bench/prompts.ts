/** Prompt files: one JSON object a line, `{id, category, turns}`. @module */

export interface Prompt {
  id: string;
  category: string;
  turns: string[];
}

const PROMPT_FILE_BYTES_MAX = 256 * 2 ** 20;

function parsePrompt(line: string, where: string): Prompt {
  let value;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new SyntaxError(`Cannot read ${where}: ${(error as Error).message}`);
  }
  const { id, category, turns } = value ?? {};
  const texts = Array.isArray(turns) && turns.length > 0 &&
    turns.every((turn) => typeof turn === "string");
  if (!texts) throw new TypeError(`Cannot read ${where}: "turns" must be a list of texts`);
  return { id: String(id ?? where), category: String(category ?? "all"), turns };
}

function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new TypeError(`Cannot read ${path}: it is not UTF-8`);
  }
}

/** Reads a prompt file. With a limit, prompts are taken at even distances, so that each category
 * keeps its share.
 * @throws {TypeError} Naming the line that is malformed. */
export async function readPrompts(path: string, limit = Infinity): Promise<Prompt[]> {
  const stat = await Deno.stat(path).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TypeError(`Cannot read ${path}: there is no such file`);
  });
  if (stat.size > PROMPT_FILE_BYTES_MAX) {
    throw new RangeError(`Cannot read ${path}: ${stat.size} bytes, limit ${PROMPT_FILE_BYTES_MAX}`);
  }
  const lines = decodeText(await Deno.readFile(path), path).split("\n");
  const prompts = lines.flatMap((line, index) =>
    line.trim() ? [parsePrompt(line, `${path}:${index + 1}`)] : []
  );
  if (prompts.length === 0) throw new TypeError(`Cannot read ${path}: it holds no prompts`);
  if (limit >= prompts.length) return prompts;
  return Array.from(
    { length: limit },
    (_, index) => prompts[Math.floor((index * prompts.length) / limit)],
  );
}
