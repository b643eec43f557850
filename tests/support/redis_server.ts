/** A real redis-server on a free loopback port, which keeps nothing. @module */
import { findProgram } from "../../tools/process.ts";

/** Where the tests that need one can run: Debian's package `redis-server` brings it. */
export const REDIS_PROGRAM = await findProgram("redis-server");

const READY_MS_MAX = 10_000;

export class RedisServer implements AsyncDisposable {
  #process: Deno.ChildProcess | undefined;

  private constructor(readonly port: number) {}

  static async start(): Promise<RedisServer> {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const server = new RedisServer(port);
    await server.up();
    return server;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it, empty, on its port. */
  async up(): Promise<void> {
    this.#process = new Deno.Command(REDIS_PROGRAM!, {
      args: [
        ...["--port", String(this.port), "--bind", "127.0.0.1"],
        ...["--save", "", "--appendonly", "no"],
      ],
      stdout: "null",
      stderr: "null",
    }).spawn();
    const end = performance.now() + READY_MS_MAX;
    while (true) {
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port: this.port })).close();
        return;
      } catch (error) {
        if (performance.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  /** As a network that is cut: connections stand and nothing is answered, until "SIGCONT". */
  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#process!.kill(name);
  }

  /** Ends it as a crash would. */
  async down(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.status;
    this.#process = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }
}
