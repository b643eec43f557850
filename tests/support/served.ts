/** A real `redraft serve` for end-to-end tests: two processes, the default model, free ports.
 * @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "./source_files.ts";

const START_TIMEOUT_MS = 180_000;
const POLL_MS = 20;

interface ReadyLine {
  event: "ready";
  url: string;
  model: string;
  node_pid: number;
  gateway_pid: number;
  node_port: number;
}

/** Metrics as Prometheus text gives them, by name and labels. */
export type Samples = ReadonlyMap<string, number>;

/** Sum of all samples of a name whose labels contain `labels`. */
export function sampleSum(samples: Samples, name: string, labels = ""): number {
  let sum = 0, count = 0;
  for (const [key, value] of samples) {
    const [own] = key.split("{");
    if (own !== name || !key.includes(labels)) continue;
    sum += value;
    ++count;
  }
  assert.ok(count > 0, `no metric ${name} with ${labels}`);
  return sum;
}

async function scrape(url: string): Promise<Samples> {
  const text = await (await fetch(url)).text();
  const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const space = line.lastIndexOf(" ");
    return [line.slice(0, space), Number(line.slice(space + 1))];
  }));
}

export class Served implements AsyncDisposable {
  private constructor(
    /** Everything that it has said so far. */
    readonly log: readonly string[],
    readonly ready: ReadyLine,
    readonly startMs: number,
    readonly process: Deno.ChildProcess,
    readonly following: Promise<unknown>,
  ) {}

  /** Starts it with further options of `redraft serve` and waits until it is ready. */
  static start(...options: string[]): Promise<Served> {
    return Served.startIn({}, ...options);
  }

  /** @param env Added to this process's environment. */
  static async startIn(env: Record<string, string>, ...options: string[]): Promise<Served> {
    const startedAt = performance.now();
    const process = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", join(ROOT, "mod.ts"), "serve", "--port=0", "--json", ...options],
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const log: string[] = [];
    const ready = Promise.withResolvers<ReadyLine>();
    const follow = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
      let pending = "";
      for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
        const lines = (pending + piece).split("\n");
        pending = lines.pop()!;
        for (const line of lines) {
          log.push(line);
          if (line.startsWith('{"event":"ready"')) ready.resolve(JSON.parse(line));
        }
      }
    };
    const following = Promise.all([follow(process.stdout), follow(process.stderr)]);
    const timer = setTimeout(() => process.kill("SIGKILL"), START_TIMEOUT_MS);
    // Its last words may still be in the pipe when its status is known.
    Promise.all([process.status, following]).then(([{ code }]) =>
      ready.reject(new Error(`serve ended with status ${code}:\n${log.join("\n")}`))
    );
    try {
      const line = await ready.promise;
      return new Served(log, line, performance.now() - startedAt, process, following);
    } finally {
      clearTimeout(timer);
    }
  }

  get url(): string {
    return this.ready.url;
  }

  get model(): string {
    return this.ready.model;
  }

  /** A request to the gateway with a JSON body. */
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
    return fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  }

  nodeMetrics(): Promise<Samples> {
    return scrape(`http://127.0.0.1:${this.ready.node_port}/metrics`);
  }

  gatewayMetrics(): Promise<Samples> {
    return scrape(`${this.url}/metrics`);
  }

  async isReady(): Promise<boolean> {
    const response = await fetch(`${this.url}/readyz`);
    await response.body?.cancel();
    return response.ok;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGTERM");
    } catch {
      // A test ended it already.
    }
    await this.process.status;
    await this.following;
  }
}

/** Waits until `condition` holds; `describe` says what it was instead. */
export async function eventually(
  condition: () => Promise<boolean>,
  timeoutMs: number,
  describe: () => string,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms: ${describe()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
