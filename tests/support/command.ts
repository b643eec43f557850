/** `redraft` run as a user would: from a pipe, or in a terminal of its own. @module */
import { join } from "node:path";
import { ROOT } from "./source_files.ts";

const KILL_MS = 60_000;

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

const redraft = (args: readonly string[]) => ["run", "-A", join(ROOT, "mod.ts"), ...args];

/** Through pipes, with `input` as all that is typed. */
export async function runPiped(
  args: readonly string[],
  input = "",
  env: Record<string, string> = {},
): Promise<Ran> {
  const child = new Deno.Command(Deno.execPath(), {
    args: redraft(args),
    env,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), KILL_MS);
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** A terminal, as `script` of util-linux makes one. */
export class Terminal implements AsyncDisposable {
  shown = "";
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reading: Promise<void>;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(args: readonly string[]) {
    // `exec`: a shell that stays (dash) would count Ctrl-C as its own, and end with 130.
    const words = [Deno.execPath(), ...redraft(args)].map((word) => `'${word}'`);
    const command = `exec ${words.join(" ")}`;
    this.#child = new Deno.Command("script", {
      args: ["--quiet", "--return", "--command", command, "/dev/null"],
      env: { TERM: "xterm", NO_COLOR: "" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#timer = setTimeout(() => this.#child.kill("SIGKILL"), KILL_MS);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const piece of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      this.shown += piece;
    }
  }

  async type(keys: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(keys));
  }

  /** Waits until `pattern` is shown after what was seen before; forgets what came up to it. */
  async see(pattern: RegExp): Promise<void> {
    for (;;) {
      const match = pattern.exec(this.shown);
      if (match) {
        this.shown = this.shown.slice(match.index + match[0].length);
        return;
      }
      const ended = await Promise.race([
        this.#reading.then(() => true),
        new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 10)),
      ]);
      if (ended && !pattern.test(this.shown)) {
        throw new Error(`Cannot see ${pattern}: ${JSON.stringify(this.shown.slice(-500))}`);
      }
    }
  }

  /** Where a test gave up on it. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.end();
  }

  /** @returns Its exit status. */
  async end(): Promise<number> {
    await this.#reading;
    await this.#writer.close().catch(() => {});
    clearTimeout(this.#timer);
    return (await this.#child.status).code;
  }
}
