/** A child process that is kept running: started again, ever more slowly, when it dies. @module */
import { telemetryEnv } from "./telemetry.ts";

const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 10_000;
/** A child that ran this long was well: its next death starts at the shortest wait again. */
const WELL_MS = 60_000;
/** Lines of a child that never got ready, which then are our error. */
const LAST_WORDS_MAX = 5;

export interface ServiceOptions {
  name: string;
  /** Arguments of `deno`, for the port that the child had before (0 at first). */
  args: (port: number) => string[];
  log: (line: string) => void;
  /** Told of what the child said when it got ready. */
  onReady?: (event: Record<string, unknown>) => void;
  /** The longest wait before it is started again. */
  backoffMsMax?: number;
}

/** The child cannot be brought up; the message says what its last words were. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
}

type Ready = Record<string, unknown> & { port: number };

function parseReady(line: string): Ready | null {
  if (!line.startsWith("{")) return null;
  try {
    const event = JSON.parse(line);
    return event.event === "ready" && Number.isInteger(event.port) ? event : null;
  } catch {
    return null; // A log line that only looks like JSON.
  }
}

/** What a line of a child's log says to a person: children log JSON. */
function wordsOf(line: string): string {
  try {
    const event = JSON.parse(line);
    return String(event.error ?? event.message ?? line);
  } catch {
    return line;
  }
}

/** One child. `start()` resolves when it first says that it is ready. */
export class Service {
  #child: Deno.ChildProcess | null = null;
  #port = 0;
  #stopping = false;
  #wasReady = false;
  /** Deaths in quick succession. */
  #deaths = 0;
  #lastWords: string[] = [];
  #gone: Promise<void> = Promise.resolve();
  #wake: (() => void) | null = null;

  constructor(readonly options: ServiceOptions) {}

  get port(): number {
    return this.#port;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** @throws {ServiceError} If it ends without having been ready. */
  async start(): Promise<void> {
    const first = Promise.withResolvers<void>();
    this.#gone = this.#keepRunning(first.resolve).then(
      () => first.reject(new ServiceError(`The ${this.options.name} was stopped at its start`)),
      first.reject,
    );
    await first.promise;
  }

  /** Resolves when the child is gone for good, be it stopped or given up. */
  get gone(): Promise<void> {
    return this.#gone;
  }

  /** Asks the child to finish what it does, then waits; kills it after `timeoutMs`. */
  async stop(timeoutMs: number): Promise<void> {
    this.#stopping = true;
    this.#wake?.();
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.kill(), timeoutMs);
    await this.#gone;
    clearTimeout(timer);
  }

  /** Asks the child to read its configuration again. */
  reload(): void {
    this.#signal("SIGHUP");
  }

  kill(): void {
    this.#stopping = true;
    this.#wake?.();
    this.#signal("SIGKILL");
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#child?.kill(signal);
    } catch {
      // It was gone already.
    }
  }

  async #keepRunning(onReady: () => void): Promise<void> {
    while (!this.#stopping) {
      const startedAt = performance.now();
      const status = await this.#runOnce(onReady);
      if (this.#stopping) return;
      const aliveMs = performance.now() - startedAt;
      if (aliveMs > WELL_MS) this.#deaths = 0;
      const why = status.signal ? `killed by ${status.signal}` : `status ${status.code}`;
      // What never got ready has wrong settings or a bad model: the same again would end the same.
      if (!this.#wasReady) {
        throw new ServiceError(
          `Cannot start the ${this.options.name}: ${this.#lastWords.join("\n") || why}`,
        );
      }
      const waitMs = Math.min(
        BACKOFF_MS_MIN * 2 ** this.#deaths++,
        this.options.backoffMsMax ?? BACKOFF_MS_MAX,
      );
      this.options.log(
        `The ${this.options.name} ended (${why}); starting it again in ${waitMs} ms`,
      );
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs);
        this.#wake = () => (clearTimeout(timer), resolve());
      });
    }
  }

  async #runOnce(onReady: () => void): Promise<Deno.CommandStatus> {
    const child = new Deno.Command(Deno.execPath(), {
      args: this.options.args(this.#port),
      env: telemetryEnv(this.options.name, (name) => Deno.env.get(name)),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const words = this.#follow(child.stderr, (line) => {
      if (line.trim()) this.#lastWords.push(wordsOf(line.trim()).slice(0, 500));
      if (this.#lastWords.length > LAST_WORDS_MAX) this.#lastWords.shift();
      // Before it was ready, its last words become our error: once is enough.
      if (this.#wasReady) this.options.log(line);
    });
    const events = this.#follow(child.stdout, (line) => {
      const ready = parseReady(line);
      if (!ready) return this.options.log(line);
      this.#port = ready.port; // It keeps its port over restarts, so that the other side finds it.
      this.#wasReady = true;
      this.options.onReady?.(ready);
      onReady();
    });
    const [status] = await Promise.all([child.status, words, events]);
    this.#child = null;
    return status;
  }

  async #follow(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    onLine: (line: string) => void,
  ): Promise<void> {
    let pending = "";
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (pending + piece).split("\n");
      pending = lines.pop()!;
      lines.forEach(onLine);
    }
    if (pending) onLine(pending);
  }
}
