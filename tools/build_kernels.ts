/** Builds the CPU engine: objects by content, so that only what changed is compiled. @module */
import { createHash } from "node:crypto";
import { basename, dirname, join, relative } from "node:path";
import { type Compiler, findCompiler } from "./compiler.ts";
import {
  COMMON_FLAGS,
  compilerFlags,
  isaFlags,
  listSources,
  type Source,
  SourceHasher,
} from "./kernel_sources.ts";
import { BUILD, CPU_LIBRARY, exists, readJsonOrNull, ROOT, writeAtomic } from "./paths.ts";
import { inParallel, ProcessError, runProcess } from "./process.ts";
import { Progress } from "./progress.ts";

export interface BuildOptions {
  tests?: boolean;
  benches?: boolean;
  /** Address and undefined-behaviour sanitizers, in a folder of their own. */
  sanitize?: boolean;
  /** Builds only the tests and benches whose path contains this. */
  only?: string;
}

export interface BuildResult {
  library: string;
  /** The library's objects, for binaries that need what it hides. */
  objects: string[];
  tests: string[];
  benches: string[];
}

/** Objects that no build used for this long are dropped; branches switched back and forth stay
 * quick. */
const OBJECT_AGE_MAX_MS = 24 * 3600 * 1000;

class KernelBuild {
  readonly #progress = new Progress("kernels");
  readonly #hasher = new SourceHasher();
  readonly #folder: string;
  readonly #flags: string[];
  readonly #linkFlags: string[];
  #built = 0;

  constructor(readonly compiler: Compiler, readonly options: BuildOptions) {
    this.#folder = options.sanitize ? join(BUILD, "sanitize") : BUILD;
    const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"];
    this.#flags = [
      ...COMMON_FLAGS,
      ...compilerFlags(compiler.identity),
      ...(options.sanitize ? [...sanitizers, "-O1", "-g", "-fno-omit-frame-pointer"] : ["-O3"]),
    ];
    this.#linkFlags = ["-pthread", ...(options.sanitize ? sanitizers : [])];
  }

  async run(): Promise<BuildResult> {
    const all = await listSources();
    const wanted = (source: Source) =>
      !this.options.only || source.path.includes(this.options.only);
    const library = all.filter((source) => source.kind === "library");
    const main = all.filter((source) => source.kind === "test_main");
    const tests = all.filter((s) => this.options.tests && s.kind === "test" && wanted(s));
    const benches = all.filter((s) => this.options.benches && s.kind === "bench" && wanted(s));
    if (library.length === 0) throw new Error("Cannot build the engine: kernels/ has no sources");
    const sources = [...library, ...tests, ...benches, ...(tests.length ? main : [])];
    const objects = await this.#compile(sources);
    const objectsOf = (list: Source[]) => list.map((source) => objects.get(source.path)!);
    const libraryPath = join(this.#folder, basename(CPU_LIBRARY));
    await this.#link(libraryPath, objectsOf(library), ["-shared"]);
    const binaries = (list: Source[], folder: string, extra: Source[]) =>
      this.#linkBinaries(list, join(this.#folder, folder), objects, [...extra, ...library]);
    const result = {
      library: libraryPath,
      objects: objectsOf(library),
      tests: await binaries(tests, "tests", main),
      benches: await binaries(benches, "benches", []),
    };
    if (this.#built > 0) {
      await this.#dropOldObjects(new Set(objects.values()));
      this.#progress.done(`${this.#built} built with ${this.compiler.identity}`);
    }
    return result;
  }

  /** Compiles what is not there yet. Returns each source's object file. */
  async #compile(sources: Source[]): Promise<Map<string, string>> {
    const objects = new Map<string, string>();
    const missing: Source[] = [];
    for (const source of sources) {
      const flags = [...this.#flags, ...isaFlags(source.path), this.compiler.identity];
      const name = source.path.replace(/^kernels\//, "").replaceAll("/", "__").replace(/\.cc$/, "");
      const hash = this.#hasher.hash(source.path, flags).slice(0, 24);
      const object = join(this.#folder, "objects", `${name}.${hash}.o`);
      objects.set(source.path, object);
      if (!await exists(object)) missing.push(source);
    }
    if (missing.length) await Deno.mkdir(join(this.#folder, "objects"), { recursive: true });
    let done = 0;
    await inParallel(missing, navigator.hardwareConcurrency, async (source) => {
      const object = objects.get(source.path)!;
      await this.#produce(object, [
        ...this.#flags,
        ...isaFlags(source.path),
        "-c",
        source.path,
      ]);
      this.#progress.update(`${++done} of ${missing.length} compiled, ${source.path}`);
    });
    return objects;
  }

  async #linkBinaries(
    sources: Source[],
    folder: string,
    objects: Map<string, string>,
    shared: Source[],
  ): Promise<string[]> {
    const paths = sources.map((source) => join(folder, basename(source.path, ".cc")));
    const twin = paths.find((path, index) => paths.indexOf(path) !== index);
    if (twin) throw new Error(`Cannot build ${relative(ROOT, twin)}: two sources have that name`);
    const common = shared.map((source) => objects.get(source.path)!);
    await inParallel(sources, navigator.hardwareConcurrency, async (source, index) => {
      await this.#link(paths[index], [objects.get(source.path)!, ...common], []);
    });
    return paths;
  }

  /** Links unless the file there was linked from these very objects. */
  async #link(output: string, objects: string[], flags: string[]): Promise<void> {
    const key = createHash("sha256").update(JSON.stringify([objects, flags, this.#linkFlags]))
      .digest("hex");
    const keyFile = join(this.#folder, "objects", `${basename(output)}.linked.json`);
    const linked = await readJsonOrNull<{ key: string }>(keyFile);
    if (linked?.key === key && await exists(output)) return;
    this.#progress.update(`linking ${basename(output)}`);
    await Deno.mkdir(dirname(output), { recursive: true });
    await this.#produce(output, [...flags, ...objects, ...this.#linkFlags]);
    await writeAtomic(keyFile, JSON.stringify({ key }));
  }

  /** Runs the compiler; its output takes its name only when whole. */
  async #produce(output: string, args: string[]): Promise<void> {
    const temporary = `${output}.${Deno.pid}.tmp`;
    const { path, prefix } = this.compiler;
    const result = await runProcess(path, [...prefix, ...args, "-o", temporary], { cwd: ROOT });
    const words = (result.stderr + result.stdout).trim();
    if (result.code !== 0) {
      await Deno.remove(temporary).catch(() => {}); // A failed compiler may have left nothing.
      throw new ProcessError(`Cannot build ${relative(ROOT, output)}:\n${words}`, result.code);
    }
    if (words) this.#progress.note(words);
    await Deno.rename(temporary, output);
    ++this.#built;
  }

  async #dropOldObjects(used: Set<string>): Promise<void> {
    const folder = join(this.#folder, "objects");
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (used.has(path) || entry.name.endsWith(".json")) continue;
      const stat = await Deno.stat(path);
      if (Date.now() - (stat.mtime?.getTime() ?? 0) > OBJECT_AGE_MAX_MS) await Deno.remove(path);
    }
  }
}

/** Builds the engine's library, and the tests and benches asked for. Quick when nothing changed.
 * @throws {ProcessError} With the compiler's words. */
export async function buildKernels(options: BuildOptions = {}): Promise<BuildResult> {
  return await new KernelBuild(await findCompiler(), options).run();
}
