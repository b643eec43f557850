/** What clients call a model unless told otherwise. Pure. @module */

/** A model file's name, less what only says how it is stored, in characters that fit a URL. */
export function modelIdOf(path: string): string {
  const stem = path.split("/").at(-1)!.replace(/\.gguf$/i, "");
  const name = stem.replace(/[._-](?:I?Q\d\w*|B?F16|F32)$/i, "") || stem;
  return name.replace(/[^A-Za-z0-9._]+/g, "-").replace(/^[-.]+|[-.]+$/g, "") || "model";
}
