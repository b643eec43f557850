/** Mock nodes and gateways before them, processes of their own, as `bench gateway` loads them.
 * @module */
import { createHash } from "node:crypto";
import { gatewayArgs } from "../cli/children.ts";
import { Service } from "../cli/supervisor.ts";
import type { Target } from "./gateway_load.ts";

export const KEY = "sk-bench-0123456789";
export const CHAT_PATH = "/v1/chat/completions";
const STOP_MS = 5000;
const MOCK = new URL("gateway_mock.ts", import.meta.url).pathname;

/** Keys and limits are on, as they would be. */
const UNBOUNDED = {
  requests_per_minute: 1e9,
  tokens_per_minute: 1e12,
  requests_in_flight_max: 1e6,
  sockets_max: 1024,
};

export interface StandOptions {
  /** One or two: the mock has two nodes, and each of them takes one gateway. */
  gateways?: 1 | 2;
  /** Of the one key, beside the bounds that no load reaches. */
  limits?: Record<string, number>;
  /** Further flags of the gateways. */
  flags?: readonly string[];
  /** Addresses of nodes instead of the mock's. */
  nodes?: readonly string[];
}

interface MockPorts {
  direct: number;
  http: number;
}

async function writeConfig(limits: Record<string, number>): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  const key = { tenant: "bench", sha256, ...UNBOUNDED, ...limits };
  await Deno.writeTextFile(path, JSON.stringify({ keys: [key] }));
  return path;
}

export class GatewayStand implements AsyncDisposable {
  private constructor(
    readonly mock: Service,
    readonly gateways: readonly Service[],
    readonly configPath: string,
    readonly ports: MockPorts,
  ) {}

  static async start(options: StandOptions = {}): Promise<GatewayStand> {
    const log = (line: string) => console.error(line);
    const ports: MockPorts = { direct: 0, http: 0 };
    const mock = new Service({
      name: "mock node",
      args: () => ["run", "-A", MOCK],
      log,
      onReady: (event) => {
        ports.direct = Number(event["direct_port"]);
        ports.http = Number(event["http_port"]);
      },
    });
    await mock.start();
    const configPath = await writeConfig(options.limits ?? {});
    const flags = [
      ...[`--config=${configPath}`, "--log-level=off", "--drain-settle-s=0"],
      ...options.flags ?? [],
    ];
    const gateways = [mock.port, ports.direct].slice(0, options.gateways ?? 1).map((port) => {
      const nodes = options.nodes ?? [`ws://127.0.0.1:${port}`];
      const args = () => gatewayArgs([...nodes.map((url) => `--node=${url}`), ...flags], 0);
      return new Service({ name: "gateway", args, log });
    });
    const stand = new GatewayStand(mock, gateways, configPath, ports);
    await Promise.all(gateways.map((gateway) => gateway.start()));
    await stand.#ready();
    return stand;
  }

  /** @param gateway By its place. */
  target(gateway = 0): Target {
    return {
      hostname: "127.0.0.1",
      port: this.gateways[gateway]!.port,
      path: CHAT_PATH,
      headers: { authorization: `Bearer ${KEY}` },
    };
  }

  /** The one model that is served. */
  async model(): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.gateways[0]!.port}/v1/models`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    return (await response.json()).data[0].id;
  }

  /** One sample of the first gateway's `/metrics`, without labels. */
  async metric(name: string): Promise<number> {
    const response = await fetch(`http://127.0.0.1:${this.gateways[0]!.port}/metrics`, {
      headers: { authorization: `Bearer ${KEY}` },
    });
    const match = new RegExp(`^${name} (\\S+)$`, "m").exec(await response.text());
    if (match === null) throw new Error(`Cannot measure: the gateway has no metric ${name}`);
    return Number(match[1]);
  }

  async #ready(): Promise<void> {
    for (const { port } of this.gateways) {
      for (let tries = 0;; ++tries) {
        const response = await fetch(`http://127.0.0.1:${port}/readyz`);
        await response.body?.cancel();
        if (response.ok) break;
        if (tries > 1000) throw new Error("Cannot get the gateway ready before its node");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.gateways.map((gateway) => gateway.stop(STOP_MS)));
    await this.mock.stop(STOP_MS);
    await Deno.remove(this.configPath);
  }
}
