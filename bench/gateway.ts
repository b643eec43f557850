/** `redraft bench gateway`: what the gateway costs and carries, before a mock node whose tokens are
 * free. @module */
import { createHash } from "node:crypto";
import { gatewayArgs } from "../cli/children.ts";
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { Service } from "../cli/supervisor.ts";
import { Progress } from "../tools/progress.ts";
import { pullModel } from "../tools/pull_model.ts";
import { LoadClient, type LoadFigures, runLoad, type Target } from "./gateway_load.ts";
import { MockNodeClient } from "./gateway_direct.ts";
import { measurePeers, type PeerGatewayFigures, PEERS } from "./gateway_peers.ts";
import { measurePrefix } from "./gateway_prefix.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";
import { median, quantile, round4 } from "./stats.ts";

const KEY = "sk-bench-0123456789";
const ANSWER_TOKENS = 8;
const WIDTH = 32;
const STREAM_TOKENS = 200;
const STOP_MS = 5000;
const MOCK = new URL("gateway_mock.ts", import.meta.url).pathname;

/** A request that no cache knows. */
function freshBody(n: number): string {
  return JSON.stringify({
    model: "mock",
    messages: [{ role: "user", content: `Question ${n}: what is the tide?` }],
    max_tokens: ANSWER_TOKENS,
  });
}

const HELD_BODY = JSON.stringify({
  model: "mock",
  messages: [{ role: "user", content: "What is the tide?" }],
  max_tokens: ANSWER_TOKENS,
  temperature: 0,
});

function streamBody(n: number): string {
  return JSON.stringify({
    model: "mock",
    messages: [{ role: "user", content: `Story ${n}.` }],
    max_tokens: STREAM_TOKENS,
    stream: true,
  });
}

/** Keys and limits are on, as they would be. */
async function writeConfig(): Promise<string> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  const limits = { requests_per_minute: 1e9, tokens_per_minute: 1e12, requests_in_flight_max: 1e6 };
  const sha256 = createHash("sha256").update(KEY).digest("hex");
  await Deno.writeTextFile(
    path,
    JSON.stringify({ keys: [{ tenant: "bench", sha256, ...limits }] }),
  );
  return path;
}

interface MockPorts {
  direct: number;
  http: number;
}

class Bench implements AsyncDisposable {
  private constructor(
    readonly mock: Service,
    readonly gateway: Service,
    readonly configPath: string,
    readonly ports: MockPorts,
  ) {}

  static async start(log: (line: string) => void): Promise<Bench> {
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
    const configPath = await writeConfig();
    const flags = [`--node=ws://127.0.0.1:${mock.port}`, `--config=${configPath}`];
    const gateway = new Service({
      name: "gateway",
      args: () => gatewayArgs([...flags, "--log-level=error", "--drain-settle-s=0"], 0),
      log,
    });
    await gateway.start();
    const bench = new Bench(mock, gateway, configPath, ports);
    await bench.#ready();
    return bench;
  }

  get target(): Target {
    return {
      hostname: "127.0.0.1",
      port: this.gateway.port,
      path: "/v1/chat/completions",
      headers: { authorization: `Bearer ${KEY}` },
    };
  }

  async #ready(): Promise<void> {
    for (let i = 0; i < 1000; ++i) {
      const response = await fetch(`http://127.0.0.1:${this.gateway.port}/readyz`);
      await response.body?.cancel();
      if (response.ok) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("Cannot get the gateway ready before its mock node");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.stop(STOP_MS);
    await this.mock.stop(STOP_MS);
    await Deno.remove(this.configPath);
  }
}

/** Tokens a second over all of `width` streams, from the first request to the last token. */
async function streamRate(target: Target, width: number): Promise<number> {
  const startedAt = performance.now();
  const clients: LoadClient[] = [];
  while (clients.length < width) clients.push(await LoadClient.open(target));
  await Promise.all(clients.map(async (client, n) => {
    await client.post(streamBody(n));
    client.close();
  }));
  return width * STREAM_TOKENS / ((performance.now() - startedAt) / 1000);
}

interface Rounds {
  direct: number[];
  through: number[];
  loads: LoadFigures[];
  hits: number[];
  streams: number[];
}

async function runRounds(bench: Bench, rounds: number, seconds: number, streams: number) {
  const figures: Rounds = { direct: [], through: [], loads: [], hits: [], streams: [] };
  let n = 0;
  const fresh = () => freshBody(++n);
  const progress = new Progress("bench gateway");
  await runLoad(bench.target, WIDTH, seconds, fresh); // Warm-up.
  for (let round = 1; round <= rounds; ++round) {
    figures.direct.push(median(await MockNodeClient.latencies(bench.ports.direct, seconds)));
    figures.through.push(median((await runLoad(bench.target, 1, seconds, fresh)).latencies));
    figures.loads.push(await runLoad(bench.target, WIDTH, seconds, fresh));
    figures.hits.push((await runLoad(bench.target, WIDTH, seconds, () => HELD_BODY)).perSecond);
    figures.streams.push(await streamRate(bench.target, streams));
    progress.note(`bench gateway: round ${round} of ${rounds}`);
  }
  return figures;
}

async function run(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    rounds: { type: "string" },
    seconds: { type: "string" },
    streams: { type: "string" },
    peers: { type: "string" },
    prefix: { type: "boolean" },
    ...OUTPUT_OPTIONS,
  });
  const rounds = wholeNumber(values, "rounds", { min: 1, max: 100, fallback: 3 });
  const seconds = wholeNumber(values, "seconds", { min: 1, max: 60, fallback: 3 });
  const streams = wholeNumber(values, "streams", { min: 1, max: 4096, fallback: 1000 });
  const peerNames = String(values.peers ?? "").split(",").filter(Boolean);
  const stranger = peerNames.find((name) => !PEERS.includes(name));
  if (stranger !== undefined) {
    throw new UsageError(`Option '--peers' knows ${PEERS.join(", ")}, not ${stranger}`);
  }
  await pullModel();
  let figures: Rounds;
  let peers: Record<string, PeerGatewayFigures>;
  {
    await using bench = await Bench.start((line) => console.error(line));
    figures = await runRounds(bench, rounds, seconds, streams);
    peers = await measurePeers(peerNames, bench.ports.http, { rounds, seconds, width: WIDTH });
  }
  const direct = median(figures.direct);
  const report = {
    direct_p50_ms: round4(direct),
    added_p50_ms: round4(median(figures.through.map((ms, i) => ms - figures.direct[i]!))),
    requests_per_second: round4(median(figures.loads.map(({ perSecond }) => perSecond))),
    p99_ms: round4(median(figures.loads.map(({ latencies }) => quantile(latencies, 0.99)))),
    cache_hits_per_second: round4(median(figures.hits)),
    stream_tokens_per_second: round4(median(figures.streams)),
    prefix_first_token_ratio: values.prefix ? round4(await measurePrefix(rounds)) : null,
    peers,
  };
  await publish({ bench: "gateway", args, values, figures: report });
  return 0;
}

export const command: Command = {
  summary: "what the gateway costs and carries",
  help: `Measures the gateway, with keys and limits on, before a mock node whose tokens are free.

  redraft bench gateway [OPTIONS]

  --rounds R     every figure R times, interleaved; medians (default 3)
  --seconds S    of each load (default 3)
  --streams N    open at once (default 1000), ${STREAM_TOKENS} tokens each, 2 a frame
  --peers LIST   also measure ${PEERS.join(", ")} (fetched from PyPI) before an HTTP mock
  --prefix       also a real node: first token with a 1,000-token prefix held, over cold
${OUTPUT_OPTIONS_HELP}

direct_p50_ms is a request to the mock node over its WebSocket, added_p50_ms what the gateway and
HTTP add to it. Requests have answers of ${ANSWER_TOKENS} tokens; 32 clients. Client, gateway and
mock share the machine's cores.

Example:
  redraft bench gateway --peers smg --prefix --json
`,
  run,
};
