/** Several real nodes, kept running as `serve` keeps its one, behind a gateway in this process.
 * @module */
import { type Gateway, startGateway } from "../../gateway/gateway.ts";
import { readOptions } from "../../gateway/options.ts";
import { nodeArgs } from "../../cli/children.ts";
import { prepareNode } from "../../cli/node_options.ts";
import { Service } from "../../cli/supervisor.ts";
import { eventually } from "./served.ts";
import { MemoryLog } from "./scripted_gateway.ts";

const READY_MS_MAX = 60_000;
const STOP_MS_MAX = 10_000;
/** Nodes are killed on purpose here, often. */
const BACKOFF_MS_MAX = 250;

export class Fleet implements AsyncDisposable {
  private constructor(
    readonly nodes: readonly Service[],
    readonly gateway: Gateway,
    readonly log: MemoryLog,
  ) {}

  /** @param gatewayArgs Further flags of the gateway. */
  static async start(nodeCount: number, gatewayArgs: readonly string[] = []): Promise<Fleet> {
    const settings = await prepareNode({ threads: "1", "pages-max": "512", "drain-ms": "100" });
    const log = new MemoryLog();
    const nodes = Array.from({ length: nodeCount }, (_, i) =>
      new Service({
        name: `node ${i}`,
        args: (port) => nodeArgs(settings, "127.0.0.1", port),
        log: (line) => log.lines.push(line),
        backoffMsMax: BACKOFF_MS_MAX,
      }));
    await Promise.all(nodes.map((node) => node.start()));
    const flags = nodes.flatMap((node) => ["--node", `ws://127.0.0.1:${node.port}`]);
    const options = readOptions(["--port", "0", ...flags, ...gatewayArgs], () => undefined);
    const fleet = new Fleet(nodes, await startGateway(options, log), log);
    await fleet.allReady();
    return fleet;
  }

  get url(): string {
    return `http://127.0.0.1:${this.gateway.port}`;
  }

  get model(): string {
    return [...this.gateway.services.pool.models][0]!.card.id;
  }

  allReady(): Promise<void> {
    const { pool } = this.gateway.services;
    return eventually(
      () => Promise.resolve(pool.readyCount === this.nodes.length),
      READY_MS_MAX,
      () => this.log.lines.slice(-10).join("\n"),
    );
  }

  /** The node that has streams of ours; the first, if several have. */
  get busyNode(): Service | undefined {
    const link = this.gateway.services.pool.links.find(({ streamCount }) => streamCount > 0);
    return this.nodes.find(({ port }) => link?.url === `ws://127.0.0.1:${port}/`);
  }

  /** Greedy or with a seed, and never from the answer cache. */
  chat(body: Record<string, unknown>): Promise<Response> {
    return fetch(`${this.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "cache-control": "no-store" },
      body: JSON.stringify({ model: this.model, ...body }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.close();
    await Promise.all(this.nodes.map((node) => node.stop(STOP_MS_MAX)));
  }
}
