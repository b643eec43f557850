/** The gateway's flags and environment: each checked, every error naming its flag. Pure. @module */
import { parseArgs } from "node:util";
import { LOG_LEVELS, type LogLevel } from "./log.ts";

export interface GatewayOptions {
  help: boolean;
  port: number;
  host: string;
  nodes: string[];
  nodeToken: string | undefined;
  apiKeys: string;
  insecure: boolean;
  hosts: string[];
  origins: string[];
  bodyBytesMax: number;
  cacheBytesMax: number;
  cacheTtlMs: number;
  deadlineMs: number;
  drainSettleMs: number;
  drainDeadlineMs: number;
  socketsMax: number;
  logLevel: LogLevel;
}

/** The caller's mistake: printed without a stack. */
export class OptionError extends RangeError {
  override readonly name = "OptionError";
}

export const HELP = `Usage: gateway [options]

Routes requests of the OpenAI API to gpu-nodes. Prints one JSON line when it listens.

  --port N               Port to listen on; 0 picks a free one [8080] (REDRAFT_PORT)
  --host ADDRESS         Address to listen on [127.0.0.1] (REDRAFT_HOST)
  --node URL             A node's ws:// or wss:// address; repeat it for each
                         [ws://127.0.0.1:9000] (REDRAFT_NODES, comma-separated)
  --insecure             Allow another address than loopback without API keys
  --allow-host NAME      Host name to answer to on a loopback address; repeatable
  --allow-origin ORIGIN  Origin of web pages that may open the WebSocket; repeatable
  --body-max-mib N       Largest request body [8]
  --cache-mib N          Memory for finished answers; 0 keeps none [64]
  --cache-ttl-s N        How long an answer is kept [300]
  --deadline-s N         Longest generation; 0 = no limit [1800]
  --drain-settle-s N     On SIGTERM, how long readiness says no before work is refused [1]
  --drain-deadline-s N   On SIGTERM, how long streams may take to finish [30]
  --sockets-max N        WebSockets open at once [1024]
  --log-level LEVEL      debug, info, warn, error or off [info] (REDRAFT_LOG_LEVEL)
  --help                 Show this

Environment:
  REDRAFT_API_KEYS       Keys, comma-separated: [TENANT=]KEY or [TENANT=]sha256:DIGEST.
                         Without any, everyone who can connect may use the gateway.
  REDRAFT_NODE_TOKEN     Token that the nodes ask for
`;

const NODE_DEFAULT = "ws://127.0.0.1:9000";

/** @throws {OptionError} Naming the first flag or variable that is wrong. */
export function readOptions(
  args: readonly string[],
  env: (name: string) => string | undefined,
): GatewayOptions {
  const values = parseFlags(args);
  const number = (flag: string, variable: string | undefined, fallback: number, most: number) => {
    const given = values[flag] as string | undefined;
    const text = given ?? (variable === undefined ? undefined : env(variable)) ?? String(fallback);
    const name = given !== undefined || variable === undefined ? `--${flag}` : variable;
    if (/^[0-9]{1,9}$/.test(text) && Number(text) <= most) return Number(text);
    throw new OptionError(`${name} must be a whole number from 0 to ${most}, got '${text}'`);
  };
  const list = (flag: string) => (values[flag] as string[] | undefined) ?? [];
  const envNodes = env("REDRAFT_NODES")?.split(",").map((url) => url.trim()).filter(Boolean) ?? [];
  const nodes = list("node").length > 0 ? list("node") : envNodes;
  const level = (values["log-level"] as string | undefined) ?? env("REDRAFT_LOG_LEVEL") ?? "info";
  if (!(LOG_LEVELS as readonly string[]).includes(level)) {
    throw new OptionError(`--log-level must be one of ${LOG_LEVELS.join(", ")}, got '${level}'`);
  }
  const options: GatewayOptions = {
    help: values["help"] === true,
    port: number("port", "REDRAFT_PORT", 8080, 65_535),
    host: (values["host"] as string | undefined) ?? env("REDRAFT_HOST") ?? "127.0.0.1",
    nodes: (nodes.length > 0 ? nodes : [NODE_DEFAULT]).map(checkNode),
    nodeToken: env("REDRAFT_NODE_TOKEN") || undefined,
    apiKeys: env("REDRAFT_API_KEYS") ?? "",
    insecure: values["insecure"] === true,
    hosts: list("allow-host").map((name) => name.toLowerCase()),
    origins: list("allow-origin").map(checkOrigin),
    bodyBytesMax: number("body-max-mib", undefined, 8, 64) * (1 << 20),
    cacheBytesMax: number("cache-mib", undefined, 64, 65_536) * (1 << 20),
    cacheTtlMs: number("cache-ttl-s", undefined, 300, 2_592_000) * 1000,
    deadlineMs: number("deadline-s", undefined, 1800, 86_400) * 1000,
    drainSettleMs: number("drain-settle-s", undefined, 1, 3600) * 1000,
    drainDeadlineMs: number("drain-deadline-s", undefined, 30, 3600) * 1000,
    socketsMax: number("sockets-max", undefined, 1024, 65_536),
    logLevel: level as LogLevel,
  };
  if (options.host === "") throw new OptionError("--host is empty");
  if (options.bodyBytesMax === 0) throw new OptionError("--body-max-mib must be at least 1");
  if (new Set(options.nodes).size < options.nodes.length) {
    throw new OptionError("--node names the same node twice");
  }
  return options;
}

/** Refuses to serve everyone who can reach this machine.
 * @throws {OptionError} */
export function checkExposure(options: GatewayOptions, hasKeys: boolean): void {
  if (hasKeys || options.insecure || isLoopback(options.host)) return;
  throw new OptionError(
    `--host ${options.host} can be reached from other machines and REDRAFT_API_KEYS is empty: ` +
      "set keys, or say --insecure",
  );
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host);
}

function parseFlags(args: readonly string[]): Record<string, unknown> {
  const text = { type: "string" } as const;
  const many = { type: "string", multiple: true } as const;
  const yes = { type: "boolean" } as const;
  try {
    return parseArgs({
      args: [...args],
      // deno-fmt-ignore
      options: {
        "port": text, "host": text, "node": many, "insecure": yes, "allow-host": many,
        "allow-origin": many, "body-max-mib": text, "cache-mib": text, "cache-ttl-s": text,
        "deadline-s": text, "drain-settle-s": text, "drain-deadline-s": text,
        "sockets-max": text, "log-level": text, "help": yes,
      },
    }).values;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}

function checkNode(url: string): string {
  const parsed = URL.parse(url);
  if (parsed !== null && (parsed.protocol === "ws:" || parsed.protocol === "wss:")) {
    // The URL is a name in logs and metrics: no secret belongs in it.
    if (parsed.username === "" && parsed.password === "") return parsed.href;
    throw new OptionError("--node must not hold a user or password: set REDRAFT_NODE_TOKEN");
  }
  throw new OptionError(`--node must be a ws:// or wss:// address, got '${url}'`);
}

function checkOrigin(origin: string): string {
  if (URL.parse(origin)?.origin === origin) return origin;
  throw new OptionError(`--allow-origin must be like https://example.org, got '${origin}'`);
}
