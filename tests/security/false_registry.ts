/** An npm registry in an attacker's hands: for each package asked for it has one of its own making,
 * with a script to be run at its installation. @module */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const ROOT = new URL("../../", import.meta.url);
const DAY_MS = 86_400_000;
const TAR_BLOCK = 512;
/** What its packages print where they are run. */
export const FALSE_WORD = "false-package-ran";

export interface RegistryOptions {
  /** Of every version it has. */
  ageDays: number;
  /** Where it leaves out the digests that would give it away. */
  hidesDigests?: boolean;
}

/** Runs Deno with this project's deno.json and deno.lock, an empty cache and a false registry. */
export class FalseRegistry implements AsyncDisposable {
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #folder = Deno.makeTempDirSync();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #versions = new Map<string, string[]>();

  constructor(readonly options: RegistryOptions) {
    const lock = JSON.parse(Deno.readTextFileSync(new URL("deno.lock", ROOT)));
    for (const id of Object.keys(lock.npm)) {
      const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(id)!;
      this.#versions.set(name!, [...this.#versions.get(name!) ?? [], version!]);
    }
    for (const name of ["deno.json", "deno.lock"]) {
      Deno.copyFileSync(new URL(name, ROOT), join(this.#folder, name));
    }
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      (request) => this.#answer(decodeURIComponent(new URL(request.url).pathname).slice(1)),
    );
  }

  get #url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  /** Whether the script of any package was run. */
  get isScriptRun(): boolean {
    return [...Deno.readDirSync(this.#folder)].some(({ name }) => name === "script-ran");
  }

  /** @param command Deno's, such as `["run", "--frozen"]`.
   * @param source The program.
   * @returns Its status, and all that it wrote. */
  async deno(command: readonly string[], source: string): Promise<{ code: number; text: string }> {
    await Deno.writeTextFile(join(this.#folder, "program.ts"), source);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...command, "program.ts"],
      cwd: this.#folder,
      env: {
        DENO_DIR: join(this.#folder, "cache"),
        NPM_CONFIG_REGISTRY: this.#url,
        NO_COLOR: "1",
      },
    }).output();
    const decoder = new TextDecoder();
    return { code, text: decoder.decode(stdout) + decoder.decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    await Deno.remove(this.#folder, { recursive: true });
  }

  #answer(path: string): Response {
    this.asked.push(path);
    const tarball = /^(.*)\/-\/[^/]*?-(\d+\.\d+\.\d+.*)\.tgz$/.exec(path);
    if (tarball !== null) return new Response(this.#pack(tarball[1]!, tarball[2]!));
    const names = this.#versions.get(path) ?? ["1.0.0"];
    const at = new Date(Date.now() - this.options.ageDays * DAY_MS).toISOString();
    return Response.json({
      "name": path,
      "dist-tags": { latest: names.at(-1) },
      "versions": Object.fromEntries(names.map((name) => [name, this.#version(path, name)])),
      "time": Object.fromEntries(names.map((name) => [name, at])),
    });
  }

  #version(name: string, version: string) {
    const digest = createHash("sha512").update(this.#pack(name, version)).digest("base64");
    const file = `${name.split("/").at(-1)}-${version}.tgz`;
    return {
      ...this.#manifest(name, version),
      hasInstallScript: true,
      dist: {
        tarball: `${this.#url}${name}/-/${file}`,
        ...(this.options.hidesDigests ? {} : { integrity: `sha512-${digest}` }),
      },
    };
  }

  #manifest(name: string, version: string) {
    const postinstall = `touch '${join(this.#folder, "script-ran")}'`;
    return { name, version, type: "module", main: "index.js", scripts: { postinstall } };
  }

  #pack(name: string, version: string): Uint8Array<ArrayBuffer> {
    const program = `console.log("${FALSE_WORD}"); export default "${name}";\n`;
    return gzipSync(tarOf({
      "package/package.json": JSON.stringify(this.#manifest(name, version)),
      "package/index.js": program,
    }));
  }
}

/** A tar archive, as npm's packages are: a header of 512 bytes before each file. */
function tarOf(files: Record<string, string>): Uint8Array {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  for (const [path, text] of Object.entries(files)) {
    const body = encoder.encode(text);
    const header = new Uint8Array(TAR_BLOCK);
    const put = (at: number, field: string) => header.set(encoder.encode(field), at);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
    put(0, path);
    put(100, "0000644\0");
    put(124, `${octal(body.length, 11)}\0`);
    put(136, `${octal(0, 11)}\0`);
    put(148, " ".repeat(8)); // The sum is taken with blanks in its own place.
    put(156, "0");
    put(257, "ustar\u000000");
    put(148, `${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
    parts.push(header, body, new Uint8Array((TAR_BLOCK - body.length % TAR_BLOCK) % TAR_BLOCK));
  }
  parts.push(new Uint8Array(2 * TAR_BLOCK));
  return new Uint8Array(parts.flatMap((part) => [...part]));
}
