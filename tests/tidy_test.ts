/** Style as a test: what ARCHITECTURE.md says about files is checked here. @module */
import assert from "node:assert/strict";
import { codeOf, readSourceFiles, type SourceFile } from "./support/source_files.ts";
import { importsOf, IMPURE, PURE_FILES, refuseImport } from "./support/import_rules.ts";
import { functionLengths } from "./support/function_lengths.ts";

const LINES_MAX = 300;
const FUNCTION_LINES_MAX = 70;
const WIDTH_MAX: ReadonlyArray<readonly [extension: RegExp, width: number]> = [
  [/\.(ts|rs|sh)$/, 100],
  [/\.(cc|h|cu|cuh|py)$/, 120],
];
/** Aliases that the glossary bans, where they would name one of its things. */
const BANNED =
  /\b(ctx|prefill_phase|decode_phase|flat_tokens|packed_mask|prefillPhase|decodePhase)\b/;

const ts = readSourceFiles([".ts"]);
const native = readSourceFiles([".cc", ".h", ".cu", ".cuh"]);
const others = readSourceFiles([".py", ".rs", ".sh"]);
const all = [...ts, ...native, ...others];

function expectNone(problems: string[]): void {
  assert.equal(problems.length, 0, `\n${problems.join("\n")}\n`);
}

function widthMax(path: string): number {
  return WIDTH_MAX.find(([extension]) => extension.test(path))?.[1] ?? 100;
}

function numbered(files: SourceFile[], refuse: (line: string, file: SourceFile) => string | null) {
  return files.flatMap((file) =>
    file.lines.flatMap((line, index) => {
      const problem = refuse(line, file);
      return problem ? [`${file.path}:${index + 1}: ${problem}`] : [];
    })
  );
}

Deno.test("source files are there to be checked", () => {
  assert.ok(ts.length > 30 && native.length > 20, `${ts.length} and ${native.length} files`);
});

Deno.test("imports go one way", () => {
  const imports = [...ts, ...native].flatMap((file) => importsOf(file.path, file.text));
  expectNone(imports.flatMap((edge) => {
    const problem = refuseImport(edge);
    return problem ? [`${edge.from} imports ${edge.to}: ${problem}`] : [];
  }));
});

Deno.test("native libraries are opened in gpu-node's two files of FFI alone", () => {
  const openers = ts.filter((file) => /\bDeno\.dlopen\b/.test(codeOf(file.text)));
  const strangers = openers.map((file) => file.path).filter((path) =>
    !["gpu-node/engine_ffi.ts", "gpu-node/executor_ffi.ts"].includes(path)
  );
  expectNone(strangers);
});

Deno.test("pure files do no I/O and are handed time and chance", () => {
  const pure = ts.filter((file) => PURE_FILES.includes(file.path));
  const missing = PURE_FILES.filter((path) => !pure.some((file) => file.path === path));
  assert.deepEqual(missing, [], "pure files that are gone: mend the list");
  expectNone(pure.flatMap((file) => {
    const match = IMPURE.exec(codeOf(file.text));
    return match ? [`${file.path} uses ${match[1]}`] : [];
  }));
});

Deno.test(`files have at most ${LINES_MAX} lines`, () => {
  expectNone(
    all.filter((file) => file.lines.length > LINES_MAX)
      .map((file) => `${file.path}: ${file.lines.length} lines`),
  );
});

Deno.test(`functions have at most ${FUNCTION_LINES_MAX} lines`, () => {
  expectNone([...ts, ...native].flatMap((file) =>
    functionLengths(codeOf(file.text))
      .filter(({ lineCount }) => lineCount > FUNCTION_LINES_MAX)
      .map(({ line, lineCount }) => `${file.path}:${line}: ${lineCount} lines`)
  ));
});

Deno.test("lines keep to their width", () => {
  expectNone(numbered(all, (line, file) => {
    const max = widthMax(file.path);
    // A long address or pattern cannot be broken; a comment or code can.
    return [...line].length > max && !/https?:\/\/|^\s*\/.*\/\w*[;,]$/.test(line)
      ? `${[...line].length} columns, at most ${max}`
      : null;
  }));
});

Deno.test("files are named in snake_case, tests after what they test", () => {
  expectNone(
    all.map((file) => file.path).filter((path) =>
      !/^[a-z0-9_]+(\.d)?\.[a-z]+$/.test(path.slice(path.lastIndexOf("/") + 1))
    ).filter((path) => !/__init__\.py$|__main__\.py$/.test(path)),
  );
});

Deno.test("names that the glossary bans are not used", () => {
  const judged = [...ts, ...native].filter(({ path }) => path !== "tests/tidy_test.ts");
  expectNone(numbered(judged, (line) => {
    const match = BANNED.exec(codeOf(line));
    return match ? `"${match[1]}" is banned by the glossary` : null;
  }));
});

Deno.test("nothing is left undone in silence", () => {
  const undone = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);
  expectNone(numbered(all, (line) => undone.test(line) ? "unfinished work" : null));
});
