/** Other gateways doing the same work before an HTTP mock, in the same run. @module */
import { join } from "node:path";
import { ensurePackages, findPython } from "../tools/python_packages.ts";
import { Progress } from "../tools/progress.ts";
import { runLoad, type Target } from "./gateway_load.ts";
import { median, quantile, round4 } from "./stats.ts";

export const PEERS: readonly string[] = ["smg"];

export interface PeerGatewayFigures {
  added_p50_ms: number;
  requests_per_second: number;
  p99_ms: number;
}

export interface PeerLoad {
  rounds: number;
  seconds: number;
  width: number;
}

const READY_MS_MAX = 60_000;
const VERSION = "smg==1.13.0";

function body(n: number): string {
  const messages = [{ role: "user", content: `Question ${n}: what is the tide?` }];
  return JSON.stringify({ model: "mock", messages, max_tokens: 8 });
}

export async function measurePeers(
  names: readonly string[],
  mockPort: number,
  load: PeerLoad,
): Promise<Record<string, PeerGatewayFigures>> {
  const figures: Record<string, PeerGatewayFigures> = {};
  for (const name of names) figures[name] = await measureSmg(mockPort, load);
  return figures;
}

async function measureSmg(mockPort: number, load: PeerLoad): Promise<PeerGatewayFigures> {
  const folder = await ensurePackages("smg", [VERSION], { progress: new Progress("bench") });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const child = new Deno.Command(await findPython(), {
    args: [
      ...["-m", "smg.launch_router", "--host", "127.0.0.1", "--port", String(port)],
      ...["--worker-urls", `http://127.0.0.1:${mockPort}`, "--policy", "cache_aware"],
      ...["--log-level", "error", "--prometheus-port", String(port + 1)],
    ],
    env: { PYTHONPATH: folder, PATH: `${join(folder, "bin")}:${Deno.env.get("PATH")}` },
    stdout: "null",
    stderr: "null",
  }).spawn();
  try {
    const path = "/v1/chat/completions";
    const peer: Target = { hostname: "127.0.0.1", port, path };
    const direct: Target = { hostname: "127.0.0.1", port: mockPort, path };
    await ready(peer);
    return await compare(peer, direct, load);
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
}

async function ready(target: Target): Promise<void> {
  const end = performance.now() + READY_MS_MAX;
  while (performance.now() < end) {
    try {
      await runLoad(target, 1, 0.01, body);
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  throw new Error("Cannot measure smg: it did not get ready");
}

async function compare(
  peer: Target,
  direct: Target,
  { rounds, seconds, width }: PeerLoad,
): Promise<PeerGatewayFigures> {
  const added: number[] = [], rates: number[] = [], slowest: number[] = [];
  await runLoad(peer, width, seconds, body); // Warm-up.
  for (let round = 0; round < rounds; ++round) {
    const alone = median((await runLoad(direct, 1, seconds, body)).latencies);
    added.push(median((await runLoad(peer, 1, seconds, body)).latencies) - alone);
    const { perSecond, latencies } = await runLoad(peer, width, seconds, body);
    rates.push(perSecond);
    slowest.push(quantile(latencies, 0.99));
  }
  return {
    added_p50_ms: round4(median(added)),
    requests_per_second: round4(median(rates)),
    p99_ms: round4(median(slowest)),
  };
}
