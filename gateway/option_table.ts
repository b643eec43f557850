/** Every flag of the gateway: its bounds, its default, its variable, its help. Pure. @module */
import { parseArgs } from "node:util";
import type { SettingKind } from "./config.ts";

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
  --config FILE          Keys with their limits, and any of these settings; JSON or YAML
                         (REDRAFT_CONFIG). Its keys are read again when it
                         changes, and on SIGHUP.
  --insecure             Allow another address than loopback without API keys
  --no-playground        Do not serve the playground at /
  --allow-host NAME      Host name to answer to on a loopback address; repeatable
  --allow-origin ORIGIN  Origin of web pages that may open the WebSocket; repeatable
  --cors-origin ORIGIN   Origin of web pages that may read answers (CORS); repeatable
  --body-max-mib N       Largest request body [8]
  --cache-mib N          Memory for finished answers; 0 keeps none [64]
  --cache-ttl-s N        How long an answer is kept [300]
  --store URL            redis:// or rediss://, where several gateways share limits and
                         held answers; memory for none [memory] (REDRAFT_STORE)
  --deadline-s N         Longest generation; 0 = no limit [1800]
  --queue-max N          Requests that may wait for a node, by model; past it 429 [1024]
  --queue-timeout-s N    How long one may wait; then 503 [30]
  --first-token-timeout-s N, --gap-timeout-s N
                         How long a node may take to its first token [300], between
                         tokens [60], before another goes on; 0 = no limit
  --failover-timeout-s N How long a stream that lost its node waits for another [30]
  --hedge-ms N           Ask a second node where the first has no token after this; 0 = off [0]
  --drain-settle-s N     On SIGTERM, how long readiness says no before work is refused [1]
  --drain-deadline-s N   On SIGTERM, how long streams may take to finish [30]
  --sockets-max N        WebSockets open at once [1024]
  --log-level LEVEL      debug, info, warn, error or off [info] (REDRAFT_LOG_LEVEL)
  --log-text             Log what is asked and answered, too; without it, never
  --help                 Show this

Environment:
  REDRAFT_API_KEYS       Keys, comma-separated: [TENANT=]KEY or [TENANT=]sha256:DIGEST.
                         Without any, everyone who can connect may use the gateway.
                         Limits of a key stand in the configuration file.
  REDRAFT_NODE_TOKEN     Token that the nodes ask for; of several, comma-separated, the first
`;

export const NODE_DEFAULT = "ws://127.0.0.1:9000";

export interface NumberOption {
  fallback: number;
  most: number;
  least?: number;
  env?: string;
}

export const NUMBERS = {
  "port": { fallback: 8080, most: 65_535, env: "REDRAFT_PORT" },
  "body-max-mib": { fallback: 8, most: 64, least: 1 },
  "cache-mib": { fallback: 64, most: 65_536 },
  "cache-ttl-s": { fallback: 300, most: 2_592_000 },
  "deadline-s": { fallback: 1800, most: 86_400 },
  "queue-max": { fallback: 1024, most: 65_536 },
  "queue-timeout-s": { fallback: 30, most: 3600 },
  "first-token-timeout-s": { fallback: 300, most: 86_400 },
  "gap-timeout-s": { fallback: 60, most: 86_400 },
  "failover-timeout-s": { fallback: 30, most: 3600 },
  "hedge-ms": { fallback: 0, most: 3_600_000 },
  "drain-settle-s": { fallback: 1, most: 3600 },
  "drain-deadline-s": { fallback: 30, most: 3600 },
  "sockets-max": { fallback: 1024, most: 65_536 },
} as const satisfies Record<string, NumberOption>;

export const TEXTS = {
  "host": { fallback: "127.0.0.1", env: "REDRAFT_HOST" },
  "store": { fallback: "memory", env: "REDRAFT_STORE" },
  "log-level": { fallback: "info", env: "REDRAFT_LOG_LEVEL" },
} as const;

export const LISTS = {
  "node": { env: "REDRAFT_NODES" },
  "allow-host": {},
  "allow-origin": {},
  "cors-origin": {},
} as const satisfies Record<string, { env?: string }>;

export const SWITCHES = ["insecure", "no-playground", "log-text"] as const;

/** What a configuration file may set, by the flag's name. */
export const SETTING_KINDS: ReadonlyMap<string, SettingKind> = new Map<string, SettingKind>([
  ...Object.keys(NUMBERS).map((name) => [name, "number"] as const),
  ...Object.keys(TEXTS).map((name) => [name, "text"] as const),
  ...Object.keys(LISTS).map((name) => [name, "list"] as const),
  ...SWITCHES.map((name) => [name, "switch"] as const),
]);

const TEXT = { type: "string" } as const;
const MANY = { type: "string", multiple: true } as const;
const YES = { type: "boolean" } as const;

/** The table that command lines are parsed by. */
export const FLAGS = {
  ...Object.fromEntries(Object.keys({ ...NUMBERS, ...TEXTS }).map((name) => [name, TEXT])),
  ...Object.fromEntries(Object.keys(LISTS).map((name) => [name, MANY])),
  ...Object.fromEntries(SWITCHES.map((name) => [name, YES])),
  config: TEXT,
  help: YES,
};

/** @throws {OptionError} If a flag is unknown or lacks its value. */
export function parseFlags(args: readonly string[]): Record<string, unknown> {
  try {
    return parseArgs({ args: [...args], options: FLAGS }).values as Record<string, unknown>;
  } catch (error) {
    throw new OptionError(error instanceof Error ? error.message : String(error));
  }
}
