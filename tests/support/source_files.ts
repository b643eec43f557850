/** The repository's own source files, as the style test sees them. @module */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Written by programs, or not ours to shape. */
const GENERATED = [/(^|\/)pkg\//, /^proto\/messages\./, /\.lock$/, /package-lock\.json$/];
const SKIPPED_FOLDERS = new Set([
  ".git",
  ".cache",
  ".deno",
  ".pytest_cache",
  "build",
  "node_modules",
  "target",
  "__pycache__",
  "weights",
]);

export interface SourceFile {
  /** Relative to the repository, with slashes. */
  path: string;
  text: string;
  lines: string[];
}

/** Files whose names end in one of `extensions`, generated ones left out. */
export function readSourceFiles(extensions: readonly string[]): SourceFile[] {
  const files: SourceFile[] = [];
  const walk = (folder: string) => {
    for (const entry of Deno.readDirSync(folder)) {
      const full = join(folder, entry.name);
      const path = relative(ROOT, full);
      if (entry.isDirectory) {
        if (!SKIPPED_FOLDERS.has(entry.name)) walk(full);
      } else if (
        extensions.some((extension) => entry.name.endsWith(extension)) &&
        !GENERATED.some((pattern) => pattern.test(path))
      ) {
        const text = Deno.readTextFileSync(full);
        files.push({ path, text, lines: text.replace(/\n$/, "").split("\n") });
      }
    }
  };
  walk(ROOT);
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** A file's code without comments and without the inside of strings, line for line. */
export function codeOf(text: string): string {
  const token =
    /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;
  return text.replace(token, (match) => match.replace(/[^\n]/g, " "));
}
