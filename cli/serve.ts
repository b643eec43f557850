/** `redraft serve`: model, engine, node and gateway, from nothing to an address. @module */
import { loadOptions, OptionError } from "../gateway/options.ts";
import { engineLine, gatewayArgs, nodeArgs } from "./children.ts";
import { DEFAULT_URL } from "./gateway_target.ts";
import { NODE_OPTIONS, NODE_OPTIONS_HELP, prepareNode } from "./node_options.ts";
import { type Command, parseOptions, runCommand, UsageError, wholeNumber } from "./options.ts";
import { onSignals } from "./run_service.ts";
import { Service } from "./supervisor.ts";

const READY_TIMEOUT_MS = 120_000;
const READY_POLL_MS = 25;
/** Streams under way get this long to end; then they are cut. */
const DRAIN_TIMEOUT_MS = 30_000;

/** Deno says this once about a signal that the gateway does not rely on; it would only alarm. */
const NOISE = /^Deno\.serve: request\.signal aborts on successful responses/;

function log(line: string): void {
  if (!NOISE.test(line)) console.error(line);
}

/** Whether someone listens there already, asked before minutes go into a start that must fail. */
function assertPortFree(host: string, port: number): void {
  if (port === 0) return;
  try {
    Deno.listen({ hostname: host, port }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) {
      throw new Error(`Cannot serve on --host ${host}: ${(error as Error).message}`);
    }
    throw new Error(`Cannot serve on ${host}:${port}: the port is in use; --port names another`);
  }
}

async function waitUntilReady(url: string, signal: AbortSignal): Promise<void> {
  const timeout = AbortSignal.timeout(READY_TIMEOUT_MS);
  let last = "no answer";
  while (!timeout.aborted && !signal.aborted) {
    try {
      const response = await fetch(`${url}/readyz`, { signal: timeout });
      last = `HTTP ${response.status} ${(await response.text()).slice(0, 200)}`;
      if (response.ok) return;
    } catch (error) {
      last = (error as Error).message;
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  if (!signal.aborted) throw new Error(`Cannot get ready at ${url}: ${last}`);
}

interface Served {
  url: string;
  model: string;
  node: Service;
  gateway: Service;
}

async function announce({ url, model, node, gateway }: Served, json: boolean) {
  if (json) {
    const pids = { node_pid: node.pid, gateway_pid: gateway.pid };
    console.log(JSON.stringify({ event: "ready", url, model, ...pids, node_port: node.port }));
    return;
  }
  const statusOf = async (path: string) => {
    const response = await fetch(url + path);
    await response.body?.cancel();
    return response.status;
  };
  const hasKeys = await statusOf("/v1/models") === 401;
  const hasPage = await statusOf("/") === 200;
  const body = JSON.stringify({
    model,
    messages: [{ role: "user", content: "Name three rivers." }],
    stream: true,
  });
  const keyed = hasKeys ? " REDRAFT_API_KEY=KEY" : "";
  const chatUrl = url === DEFAULT_URL ? "" : ` --url ${url}`;
  const key = hasKeys ? " -H 'authorization: Bearer KEY'" : "";
  console.log(
    `Redraft serves ${model} at ${url}/v1${hasPage ? `, a playground at ${url}/` : ""}. Try:

  curl -N ${url}/v1/chat/completions -H 'content-type: application/json'${key} \\
    -d '${body}'

or, in another terminal:${keyed} npx -y deno@2.9.6 task chat${chatUrl}`,
  );
}

/** Says what the gateway would refuse, before a model is fetched or a node started. */
function checkGateway(flags: readonly string[]): void {
  try {
    loadOptions([...flags], (name) => Deno.env.get(name), Deno.readTextFileSync);
  } catch (error) {
    throw error instanceof OptionError ? new UsageError(error.message) : error;
  }
}

async function serve(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...NODE_OPTIONS,
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string" },
    json: { type: "boolean" },
    insecure: { type: "boolean" },
    "no-playground": { type: "boolean" },
    config: { type: "string" },
    "log-level": { type: "string", default: "warn" },
  });
  const host = String(values.host);
  const port = wholeNumber(values, "port", { min: 0, max: 65535, fallback: 8000 });
  // Settles at once when a gateway of this machine stops: nobody balances load over it.
  const gatewayFlags = (nodePort: number) => [
    `--node=ws://127.0.0.1:${nodePort}`,
    `--host=${host}`,
    "--drain-settle-s=0",
    `--log-level=${values["log-level"]}`,
    ...(values.insecure ? ["--insecure"] : []),
    ...(values["no-playground"] ? ["--no-playground"] : []),
    ...(values.config === undefined ? [] : [`--config=${values.config}`]),
  ];
  checkGateway(gatewayFlags(1));
  assertPortFree(host, port);
  const settings = await prepareNode(values);
  if (!settings.head) log("No draft head for this model: serving without speculation");
  const stopped = new AbortController();
  let model = "";
  const node = new Service({
    log,
    name: "node",
    args: (known) => nodeArgs(settings, "127.0.0.1", known),
    onReady: (ready) => {
      model = String(ready["model"]);
      log(engineLine(ready));
    },
  });
  const gateway = new Service({
    log,
    name: "gateway",
    args: (known) => gatewayArgs(gatewayFlags(node.port), known || port),
  });
  onSignals(async () => {
    stopped.abort();
    log("Stopping: streams under way may end first; once more stops at once");
    await gateway.stop(DRAIN_TIMEOUT_MS);
    await node.stop(DRAIN_TIMEOUT_MS);
  }, () => [gateway, node].forEach((service) => service.kill()));
  Deno.addSignalListener("SIGHUP", () => gateway.reload());
  try {
    await node.start();
    await gateway.start();
    const shown = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
    const url = `http://${shown.includes(":") ? `[${shown}]` : shown}:${gateway.port}`;
    await waitUntilReady(url, stopped.signal);
    const served = { url, model, node, gateway };
    if (!stopped.signal.aborted) await announce(served, values.json === true);
    await Promise.race([node.gone, gateway.gone]);
  } catch (error) {
    if (!stopped.signal.aborted) throw error; // Stopped while it started.
  } finally {
    await gateway.stop(stopped.signal.aborted ? DRAIN_TIMEOUT_MS : 1000);
    await node.stop(stopped.signal.aborted ? DRAIN_TIMEOUT_MS : 1000);
  }
  return stopped.signal.aborted ? 0 : 1;
}

export const command: Command = {
  summary: "start a node and a gateway",
  help: `Fetches the model, builds the engine, starts a node and a gateway, and says what to try.

  redraft serve [OPTIONS]          (or redraft start, deno task start)

  --port N           the gateway's port (default 8000; 0: any free one)
  --host HOST        the gateway's address (default 127.0.0.1)
  --config FILE      the gateway's API keys, their limits and its settings (see gateway --help)
  --insecure         allow another address than loopback without API keys
  --no-playground    do not serve the playground at /
  --log-level LEVEL  the gateway's: debug, info, warn, error or off (default warn)
  --json             one JSON line when ready, for scripts
${NODE_OPTIONS_HELP}

A node that dies is started again, and streams that it held go on where they were. SIGINT and
SIGTERM let streams under way end first.

Examples:
  redraft serve
  redraft serve --port 9000 --model hf:OWNER/REPO/FILE.gguf --head ./my-head
`,
  run: serve,
};

if (import.meta.main) await runCommand(command, Deno.args);
