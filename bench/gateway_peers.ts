/** Other gateways doing the same work before an HTTP mock: SMG of PyPI, Portkey of npm. @module */
import { join } from "node:path";
import { CACHE, exists } from "../tools/paths.ts";
import { findProgram, runOrThrow } from "../tools/process.ts";
import { Progress } from "../tools/progress.ts";
import { ensurePackages, findPython } from "../tools/python_packages.ts";
import { runLoad, type Target } from "./gateway_load.ts";
import { CHAT_PATH } from "./gateway_stand.ts";

const READY_MS_MAX = 60_000;
const SMG = "smg==1.13.0";
const PORTKEY = "@portkey-ai/gateway@1.15.2";

interface Launch {
  program: string;
  args: string[];
  env?: Record<string, string>;
  /** That each request must bring. */
  headers?: Record<string, string>;
}

const LAUNCHES: Readonly<Record<string, (port: number, mock: number) => Promise<Launch>>> = {
  smg: launchSmg,
  portkey: launchPortkey,
};
export const PEERS: readonly string[] = Object.keys(LAUNCHES);

async function launchSmg(port: number, mock: number): Promise<Launch> {
  const folder = await ensurePackages("smg", [SMG], { progress: new Progress("bench") });
  return {
    program: await findPython(),
    args: [
      ...["-m", "smg.launch_router", "--host", "127.0.0.1", "--port", String(port)],
      ...["--worker-urls", `http://127.0.0.1:${mock}`, "--policy", "cache_aware"],
      ...["--log-level", "error", "--prometheus-port", String(freePort())],
    ],
    env: { PYTHONPATH: folder, PATH: `${join(folder, "bin")}:${Deno.env.get("PATH")}` },
  };
}

async function launchPortkey(port: number, mock: number): Promise<Launch> {
  const [node, npm] = [await findProgram("node"), await findProgram("npm")];
  if (!node || !npm) throw new Error("Cannot measure portkey: it needs node and npm on PATH");
  const folder = join(CACHE, "npm", "portkey");
  const script = join(folder, "node_modules", "@portkey-ai", "gateway", "build", "start-server.js");
  if (!await exists(script)) {
    await Deno.mkdir(folder, { recursive: true });
    const quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"];
    await runOrThrow(npm, ["install", ...quiet, "--prefix", folder, PORTKEY]);
  }
  return {
    program: node,
    args: [script, "--headless", `--port=${port}`],
    headers: {
      "authorization": "Bearer none",
      "x-portkey-provider": "openai",
      "x-portkey-custom-host": `http://127.0.0.1:${mock}/v1`,
    },
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

/** A request that no cache knows. */
export function freshBody(n: number): string {
  const messages = [{ role: "user", content: `Question ${n}: what is the tide?` }];
  return JSON.stringify({ model: "mock", messages, max_tokens: 8 });
}

export class PeerGateway implements AsyncDisposable {
  private constructor(
    readonly name: string,
    readonly target: Target,
    readonly child: Deno.ChildProcess,
  ) {}

  /** @param mockPort Of an HTTP server that answers as an OpenAI server does. */
  static async start(name: string, mockPort: number): Promise<PeerGateway> {
    const port = freePort();
    const { program, args, env, headers } = await LAUNCHES[name]!(port, mockPort);
    const child = new Deno.Command(program, { args, env, stdout: "null", stderr: "null" }).spawn();
    const target: Target = { hostname: "127.0.0.1", port, path: CHAT_PATH, headers };
    const peer = new PeerGateway(name, target, child);
    try {
      await peer.#ready();
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
    return peer;
  }

  async #ready(): Promise<void> {
    const end = performance.now() + READY_MS_MAX;
    while (performance.now() < end) {
      try {
        await runLoad(this.target, 1, 0.01, freshBody);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    throw new Error(`Cannot measure ${this.name}: it did not get ready`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.status;
  }
}
