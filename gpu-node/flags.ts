/** The node's command line. Pure. @module */

import { parseArgs } from "node:util";
import { ABI } from "./abi.ts";
import { parseBudget } from "./draft_budget.ts";
import { type Backend, BACKENDS } from "./backend.ts";
import type { DraftBudget } from "./engine.ts";

/** A flag is wrong; the message names it. */
export class FlagError extends Error {
  override readonly name = "FlagError";
}

export interface NodeFlags {
  model: string;
  head?: string;
  backend: Backend;
  library?: string;
  host: string;
  port: number;
  threads?: number;
  slotsMax: number;
  pagesMax?: number;
  /** KV memory, in MiB; the alternative to `pagesMax`. */
  kvMib?: number;
  rowsMax: number;
  /** 0 = the model's own. */
  contextMax: number;
  queueMax: number;
  budget?: DraftBudget;
  chunkMax?: number;
  drainMs: number;
  nodeId: string;
  modelId?: string;
}

export type ParsedFlags =
  | { kind: "help" }
  | { kind: "info"; flags: NodeFlags }
  | { kind: "serve"; flags: NodeFlags };

export const HELP = `Serves one model to gateways.

  deno run --allow-ffi=LIBRARY --allow-net --allow-env --allow-read gpu-node/main.ts --model FILE

  --model FILE       the model, GGUF (required); with trtllm its engine's folder
  --head FOLDER      its draft head; without one nothing is drafted
  --backend NAME     auto, cpu, cuda or trtllm (default auto: cuda where a driver and a device
                     answer, else cpu; it says why)
  --library FILE     the engine's file (default: REDRAFT_LIBRARY, else the build's own)
  --host HOST        address to listen on (default 127.0.0.1)
  --port N           0 takes any free one (default 9000)
  --threads N        engine threads (default: cores)
  --slots-max N      sequences that run at once (default 32)
  --pages-max N      KV pages of ${ABI.pageTokens} tokens (default 2048; on a GPU what 90 % of its
                     free memory holds)
  --kv-mib N         memory for KV pages, in place of --pages-max
  --rows-max N       rows of one step (default 512)
  --context-max N    longest prompt and answer together (default 0: the model's own)
  --queue-max N      sequences that may wait for a slot (default 256)
  --chunk-max N      context tokens of one sequence in one step (default: --rows-max)
  --spec W,L,N|off   the most a sequence drafts: beam width, beam length, packed tokens (default
                     4,5,16); W,L,N,P also bounds paths that lookups lengthen (default 16)
  --drain-ms N       what SIGTERM leaves those that run (default 30000)
  --id NAME          this node's name (default: node-PORT)
  --model-id NAME    what clients call the model (default: its file's name)
  --info             prints the model's description as JSON and ends
  --help             prints this

  REDRAFT_NODE_TOKEN  what gateways must bring as a bearer token; needed off loopback. Of several,
                      comma-separated, any: so a token is changed while gateways are connected
`;

const OPTIONS = {
  model: { type: "string" },
  head: { type: "string" },
  backend: { type: "string" },
  library: { type: "string" },
  host: { type: "string" },
  port: { type: "string" },
  threads: { type: "string" },
  "slots-max": { type: "string" },
  "pages-max": { type: "string" },
  "kv-mib": { type: "string" },
  "rows-max": { type: "string" },
  "context-max": { type: "string" },
  "queue-max": { type: "string" },
  "chunk-max": { type: "string" },
  spec: { type: "string" },
  "drain-ms": { type: "string" },
  id: { type: "string" },
  "model-id": { type: "string" },
  info: { type: "boolean" },
  help: { type: "boolean" },
} as const;

type Values = { [name: string]: string | boolean | undefined };

// What `created` and ids may look like in a log line, a label and a URL.
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:\/ -]{0,127}$/;

const HEAD_IS_BUILT_IN =
  "--head does not go with --backend trtllm: its engine has the draft head built in";

/** @throws {FlagError} That names the flag. */
export function parseFlags(args: readonly string[]): ParsedFlags {
  const values = parse(args);
  if (values.help === true) return { kind: "help" };
  const rowsMax = integer(values, "rows-max", ABI.treeTokensMax, 8192) ?? 512;
  const slotsMax = integer(values, "slots-max", 1, 1024) ?? 32;
  if (slotsMax > rowsMax) throw new FlagError(`--slots-max ${slotsMax} is over --rows-max`);
  const flags: NodeFlags = {
    model: text(values, "model") ?? missing("model"),
    ...optional("head", text(values, "head")),
    backend: backend(values),
    ...optional("library", text(values, "library")),
    host: text(values, "host") ?? "127.0.0.1",
    port: integer(values, "port", 0, 65_535) ?? 9000,
    ...optional("threads", integer(values, "threads", 1, 256)),
    slotsMax,
    ...optional("pagesMax", integer(values, "pages-max", 1, 1 << 24)),
    ...optional("kvMib", integer(values, "kv-mib", 1, 1 << 24)),
    rowsMax,
    contextMax: integer(values, "context-max", 0, 1 << 18) ?? 0,
    queueMax: integer(values, "queue-max", 0, 65_536) ?? 256,
    ...optional("budget", budget(values)),
    ...optional("chunkMax", integer(values, "chunk-max", 1, rowsMax)),
    drainMs: integer(values, "drain-ms", 0, 3_600_000) ?? 30_000,
    nodeId: name(values, "id") ?? "",
    ...optional("modelId", name(values, "model-id")),
  };
  if (flags.pagesMax !== undefined && flags.kvMib !== undefined) {
    throw new FlagError("--pages-max and --kv-mib say the same: give one of them");
  }
  if (flags.backend === "trtllm" && flags.head !== undefined) throw new FlagError(HEAD_IS_BUILT_IN);
  return { kind: values.info === true ? "info" : "serve", flags };
}

function parse(args: readonly string[]): Values {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true }).values;
  } catch (cause) {
    throw new FlagError(cause instanceof Error ? cause.message : String(cause));
  }
}

function optional<K extends string, T>(key: K, value: T | undefined): { [P in K]?: T } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: T };
}

function missing(flag: string): never {
  throw new FlagError(`--${flag} is required`);
}

function text(values: Values, flag: string): string | undefined {
  const value = values[flag];
  if (value === "") throw new FlagError(`--${flag} is empty`);
  return value as string | undefined;
}

function name(values: Values, flag: string): string | undefined {
  const value = text(values, flag);
  if (value !== undefined && !NAME.test(value)) {
    throw new FlagError(`--${flag} is ${JSON.stringify(value)}, not a name`);
  }
  return value;
}

function integer(values: Values, flag: string, min: number, max: number): number | undefined {
  const value = text(values, flag);
  if (value === undefined) return undefined;
  const number = /^\d{1,10}$/.test(value) ? Number(value) : NaN;
  if (number >= min && number <= max) return number;
  throw new FlagError(`--${flag} is ${JSON.stringify(value)}, not an integer in [${min}, ${max}]`);
}

function backend(values: Values): Backend {
  const value = text(values, "backend") ?? "auto";
  const found = BACKENDS.find((name) => name === value);
  if (found) return found;
  throw new FlagError(`--backend is ${JSON.stringify(value)}, not one of ${BACKENDS.join(", ")}`);
}

function budget(values: Values): DraftBudget | undefined {
  const value = text(values, "spec");
  if (value === undefined) return undefined;
  try {
    return parseBudget(value);
  } catch (error) {
    throw new FlagError(`--spec ${(error as Error).message}`);
  }
}
