/** The C++ compiler that builds the CPU engine: the system's, else one from PyPI. @module */
import { join } from "node:path";
import { BUILD, exists, readJsonOrNull, writeAtomic } from "./paths.ts";
import { Progress } from "./progress.ts";
import { findProgram, runProcess } from "./process.ts";
import { ensurePackages } from "./python_packages.ts";

/** zig c++ is clang with its own libc++ and C headers, so it stands on a machine with no compiler
 * at all. */
const ZIG_PACKAGE = "ziglang==0.17.1";

/** What we use of C++20; a compiler that takes the flag but lacks the library fails here, not in
 * the middle. */
const PROBE = `#include <bit>
#include <concepts>
#include <span>
#include <thread>
static_assert(__cplusplus >= 202002L && std::endian::native == std::endian::little);
int main() { return 0; }
`;

export interface Compiler {
  path: string;
  /** Arguments that come first in each call. */
  prefix: string[];
  /** Changes whenever objects of another compiler must not be mixed in. */
  identity: string;
}

interface Probed {
  key: string;
  identity: string | null;
}

async function fileKey(path: string): Promise<string> {
  const real = await Deno.realPath(path);
  const stat = await Deno.stat(real);
  return `${real} ${stat.size} ${stat.mtime?.getTime()}`;
}

/** The compiler's version if it can build us, else `null`. Remembered, since asking costs more than
 * an idle build. */
async function probe(path: string, prefix: string[]): Promise<string | null> {
  const key = `${await fileKey(path)} ${prefix.join(" ")}`;
  const file = join(BUILD, "compilers.json");
  const known = await readJsonOrNull<Probed[]>(file) ?? [];
  const hit = known.find((entry) => entry.key === key);
  if (hit) return hit.identity;
  const version = await runProcess(path, [...prefix, "--version"]);
  // From a file into a file: zig can neither read standard input nor check syntax alone.
  const folder = await Deno.makeTempDir();
  let trial;
  try {
    await Deno.writeTextFile(join(folder, "probe.cc"), PROBE);
    const files = ["-c", join(folder, "probe.cc"), "-o", join(folder, "probe.o")];
    trial = await runProcess(path, [...prefix, "-std=c++20", ...files]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const identity = trial.code === 0 ? `${version.stdout.split("\n")[0]} ${prefix.join(" ")}` : null;
  await writeAtomic(file, JSON.stringify([...known.slice(-15), { key, identity }]));
  return identity;
}

/** The one from PyPI, which also compiles for machines other than this one. */
export async function zigCompiler(): Promise<Compiler> {
  const folder = await ensurePackages("zig", [ZIG_PACKAGE], {
    progress: new Progress("C++ compiler"),
  });
  const path = join(folder, "ziglang", "zig");
  // zig's own default is -march=native, which would let the compiler use what a file was not meant
  // to use.
  const prefix = ["c++", "-mcpu=baseline", "-fno-sanitize=undefined"];
  if (!await exists(path)) throw new Error(`Cannot find zig: ${ZIG_PACKAGE} has no ${path}`);
  const identity = await probe(path, prefix);
  if (!identity) throw new Error(`Cannot use zig: ${path} does not compile C++20`);
  return { path, prefix, identity };
}

/** Finds a C++20 compiler: $CXX, c++, g++, clang++, and where none will do, zig c++ from PyPI.
 * @throws {Error} If $CXX names one that will not do. */
export async function findCompiler(): Promise<Compiler> {
  const named = Deno.env.get("CXX");
  if (named === "zig") return await zigCompiler();
  for (const name of named ? [named] : ["c++", "g++", "clang++"]) {
    const path = await findProgram(name);
    const identity = path && await probe(path, []);
    if (path && identity) return { path, prefix: [], identity };
  }
  if (named) throw new Error(`Cannot build with CXX=${named}: not found, or not a C++20 compiler`);
  return await zigCompiler();
}
