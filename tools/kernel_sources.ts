/** What of `kernels/` is built into what, with which flags, and when it must be built again.
 * @module */
import { createHash } from "node:crypto";
import { dirname, join, relative } from "node:path";
import { KERNELS, ROOT } from "./paths.ts";

export interface Source {
  /** Relative to the repository, with slashes. */
  path: string;
  kind: "library" | "test" | "test_main" | "bench";
}

const INCLUDE_FOLDERS = [KERNELS, join(KERNELS, "include"), join(KERNELS, "common")];

export const COMMON_FLAGS = [
  "-std=c++20",
  "-fPIC",
  "-fvisibility=hidden",
  "-pthread",
  // a*b+c must round as written, or the same row would differ from one build to the next.
  "-ffp-contract=off",
  "-Wall",
  "-Wextra",
  ...INCLUDE_FOLDERS.map((folder) => `-I${relative(ROOT, folder)}`),
];

/** GCC 12 finds its own AVX-512 intrinsics uninitialized (its bug 105593); clang does not know that
 * warning. */
export function compilerFlags(identity: string): readonly string[] {
  return identity.includes("clang") ? [] : ["-Wno-maybe-uninitialized"];
}

/** Per file, by the end of its name: one library holds every variant and picks at run time. */
const ISA_FLAGS: ReadonlyArray<readonly [suffix: string, flags: readonly string[]]> = [
  [
    "_avx512.cc",
    ["f", "bw", "vl", "dq", "vnni"].map((part) => `-mavx512${part}`).concat(
      "-mavx2",
      "-mfma",
      "-mf16c",
    ),
  ],
  [
    "_amx.cc",
    [
      "-mamx-tile",
      "-mamx-int8",
      "-mavx512f",
      "-mavx512bw",
      "-mavx512vl",
      "-mavx2",
      "-mfma",
      "-mf16c",
    ],
  ],
  ["_avx2.cc", ["-mavx2", "-mfma", "-mf16c"]],
  ["_avxvnni.cc", ["-mavxvnni", "-mavx2", "-mfma", "-mf16c"]],
  ["_shani.cc", ["-msha", "-msse4.1"]],
];

/** Flags of one file. Other machines compile the same files without them: the code guards itself.
 */
export function isaFlags(path: string, arch: string = Deno.build.arch): readonly string[] {
  if (arch !== "x86_64") return [];
  return ISA_FLAGS.find(([suffix]) => path.endsWith(suffix))?.[1] ?? [];
}

function sourceKind(path: string): Source["kind"] {
  if (path.endsWith("/test_main.cc")) return "test_main";
  if (path.endsWith("_test.cc")) return "test";
  return path.endsWith("_bench.cc") ? "bench" : "library";
}

/** All C++ sources of the CPU engine, sorted, so that link order never depends on the file system.
 */
export async function listSources(): Promise<Source[]> {
  const sources: Source[] = [];
  // The CUDA and TensorRT-LLM sides have builds of their own; glue is Rust.
  const foreign = new Set(["cuda", "trtllm", "glue", "include"]);
  const walk = async (folder: string) => {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory) {
        if (folder !== KERNELS || !foreign.has(entry.name)) await walk(path);
      } else if (entry.name.endsWith(".cc")) {
        sources.push({ path: relative(ROOT, path), kind: sourceKind(path) });
      }
    }
  };
  await walk(KERNELS);
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Hashes sources together with every header that they reach, so that one header's edit rebuilds
 * its users alone. */
export class SourceHasher {
  readonly #texts = new Map<string, string | null>();
  readonly #includes = new Map<string, string[]>();

  /** Hex digest of the file at `path` (relative to the repository), its headers and `flags`. */
  hash(path: string, flags: readonly string[]): string {
    const digest = createHash("sha256").update(JSON.stringify(flags));
    const reached = new Set<string>();
    const visit = (file: string) => {
      if (reached.has(file)) return;
      reached.add(file);
      this.#includesOf(file).forEach(visit);
    };
    visit(join(ROOT, path));
    for (const file of [...reached].sort()) {
      digest.update(`\0${relative(ROOT, file)}\0`).update(this.#text(file)!);
    }
    return digest.digest("hex");
  }

  #text(path: string): string | null {
    let text = this.#texts.get(path);
    if (text === undefined) {
      try {
        text = Deno.readTextFileSync(path);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
        text = null;
      }
      this.#texts.set(path, text);
    }
    return text;
  }

  /** Headers that a file names in quotes and that are ours; the system's are covered by the
   * compiler's identity. */
  #includesOf(path: string): string[] {
    let found = this.#includes.get(path);
    if (found) return found;
    found = [];
    for (const match of this.#text(path)!.matchAll(/^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm)) {
      const header = [dirname(path), ...INCLUDE_FOLDERS].map((folder) => join(folder, match[1]))
        .find((candidate) => this.#text(candidate) !== null);
      if (header) found.push(header);
    }
    this.#includes.set(path, found);
    return found;
  }
}
