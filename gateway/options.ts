/** The gateway's flags and environment: each checked, every error naming its flag. Pure. @module */
import { type KeyEntry, KeyRing } from "./auth.ts";
import { ConfigError, type ConfigFile, readConfig } from "./config.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import {
  LISTS,
  NODE_DEFAULT,
  type NumberOption,
  NUMBERS,
  OptionError,
  parseFlags,
  SETTING_KINDS,
  TEXTS,
} from "./option_table.ts";

export { HELP, OptionError } from "./option_table.ts";

export interface GatewayOptions {
  help: boolean;
  port: number;
  host: string;
  nodes: string[];
  nodeToken: string | undefined;
  apiKeys: string;
  /** Of the configuration file. */
  keys: readonly KeyEntry[];
  insecure: boolean;
  playground: boolean;
  hosts: string[];
  origins: string[];
  corsOrigins: string[];
  bodyBytesMax: number;
  cacheBytesMax: number;
  cacheTtlMs: number;
  /** `memory`, or Redis's address. */
  store: string;
  deadlineMs: number;
  queueMax: number;
  queueMs: number;
  firstTokenMs: number;
  gapMs: number;
  failoverMs: number;
  hedgeMs: number;
  drainSettleMs: number;
  drainDeadlineMs: number;
  socketsMax: number;
  logLevel: LogLevel;
  logText: boolean;
}

type Env = (name: string) => string | undefined;

/** The file that holds the configuration, if the flags or the environment name one.
 * @throws {OptionError} If a flag is unknown. */
export function configPath(args: readonly string[], env: Env): string | undefined {
  return (parseFlags(args)["config"] as string | undefined) ?? (env("REDRAFT_CONFIG") || undefined);
}

/** The file, or what of it could be read, and what is wrong with the rest. */
function readConfigFile(path: string, readText: (path: string) => string) {
  try {
    return { file: readConfig(readText(path), SETTING_KINDS), problems: [] };
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const file = error instanceof ConfigError ? error.rest : undefined;
    return { file, problems: [`Cannot use ${path}:`, words] };
  }
}

/** Where a value may come from: flags first, then the environment, then the file. */
class OptionReader {
  readonly problems: string[] = [];
  readonly #values: Record<string, unknown>;

  constructor(args: readonly string[], readonly env: Env, readonly file: ConfigFile | undefined) {
    this.#values = parseFlags(args);
  }

  has(flag: string): boolean {
    return this.#given(flag).value === true;
  }

  number(flag: keyof typeof NUMBERS): number {
    const { fallback, most, least = 0, env }: NumberOption = NUMBERS[flag];
    const { value, name } = this.#given(flag, env);
    const text = String(value ?? fallback);
    const number = /^[0-9]{1,9}$/.test(text) ? Number(text) : NaN;
    if (number >= least && number <= most) return number;
    this.problems.push(`${name} must be a whole number from ${least} to ${most}, got '${text}'`);
    return fallback;
  }

  text(flag: keyof typeof TEXTS): string {
    const { value } = this.#given(flag, TEXTS[flag].env);
    return (value as string | undefined) ?? TEXTS[flag].fallback;
  }

  /** As the value's own place has it: the flag, the variable, or the setting of the file. */
  nameOf(flag: keyof typeof LISTS | keyof typeof TEXTS): string {
    const option: { env?: string } = { ...LISTS, ...TEXTS }[flag];
    return this.#given(flag, option.env).name;
  }

  /** Items that `check` throws for are left out and its words kept. */
  list(flag: keyof typeof LISTS, check: (item: string, name: string) => string): string[] {
    const option: { env?: string } = LISTS[flag];
    const { value, name } = this.#given(flag, option.env);
    const items = typeof value === "string"
      ? value.split(",").map((item) => item.trim()).filter(Boolean)
      : (value as string[] | undefined) ?? [];
    return items.flatMap((item) => {
      try {
        return [check(item, name)];
      } catch (error) {
        this.problems.push((error as Error).message);
        return [];
      }
    });
  }

  #given(flag: string, variable?: string): { value: unknown; name: string } {
    if (this.#values[flag] !== undefined) return { value: this.#values[flag], name: `--${flag}` };
    const text = variable === undefined ? undefined : this.env(variable);
    if (text !== undefined && text !== "") return { value: text, name: variable! };
    const value = this.file?.settings.get(flag);
    return { value, name: value === undefined ? `--${flag}` : flag.replaceAll("-", "_") };
  }
}

/** Flags first, then the environment, then the file, then the default.
 * @throws {OptionError} Naming every flag, variable or setting that is wrong, a line each. */
export function readOptions(args: readonly string[], env: Env, file?: ConfigFile): GatewayOptions {
  const { options, problems } = collectOptions(args, env, file);
  if (problems.length > 0) throw new OptionError(problems.join("\n"));
  return options;
}

/** What is wrong has its default, and a line among the problems. */
function collectOptions(args: readonly string[], env: Env, file?: ConfigFile) {
  const reader = new OptionReader(args, env, file);
  const { problems } = reader;
  const nodes = reader.list("node", checkNode);
  const options: GatewayOptions = {
    help: reader.has("help"),
    port: reader.number("port"),
    host: reader.text("host"),
    nodes: nodes.length > 0 ? nodes : [checkNode(NODE_DEFAULT, "--node")],
    nodeToken: env("REDRAFT_NODE_TOKEN")?.split(",").at(0)?.trim() || undefined,
    apiKeys: env("REDRAFT_API_KEYS") ?? "",
    keys: file?.keys ?? [],
    insecure: reader.has("insecure"),
    playground: !reader.has("no-playground"),
    logText: reader.has("log-text"),
    hosts: reader.list("allow-host", (name) => name.toLowerCase()),
    origins: reader.list("allow-origin", checkOrigin),
    corsOrigins: reader.list("cors-origin", checkOrigin),
    bodyBytesMax: reader.number("body-max-mib") * (1 << 20),
    cacheBytesMax: reader.number("cache-mib") * (1 << 20),
    cacheTtlMs: reader.number("cache-ttl-s") * 1000,
    store: reader.text("store"),
    deadlineMs: reader.number("deadline-s") * 1000,
    queueMax: reader.number("queue-max"),
    queueMs: reader.number("queue-timeout-s") * 1000,
    firstTokenMs: reader.number("first-token-timeout-s") * 1000,
    gapMs: reader.number("gap-timeout-s") * 1000,
    failoverMs: reader.number("failover-timeout-s") * 1000,
    hedgeMs: reader.number("hedge-ms"),
    drainSettleMs: reader.number("drain-settle-s") * 1000,
    drainDeadlineMs: reader.number("drain-deadline-s") * 1000,
    socketsMax: reader.number("sockets-max"),
    logLevel: reader.text("log-level") as LogLevel,
  };
  if (!(LOG_LEVELS as readonly string[]).includes(options.logLevel)) {
    const name = reader.nameOf("log-level");
    problems.push(`${name} must be one of ${LOG_LEVELS.join(", ")}, got '${options.logLevel}'`);
  }
  const storeProblem = problemOfStore(options.store, reader.nameOf("store"));
  if (storeProblem !== undefined) problems.push(storeProblem);
  if (options.host === "") problems.push(`${reader.nameOf("host")} is empty`);
  if (new Set(nodes).size < nodes.length) {
    problems.push(`${reader.nameOf("node")} names the same node twice`);
  }
  return { options, problems, hostName: reader.nameOf("host") };
}

/** The address may hold a password: no words repeat it. */
function problemOfStore(store: string, name: string): string | undefined {
  if (store === "memory") return undefined;
  const url = URL.parse(store);
  if (url === null || !/^rediss?:$/.test(url.protocol) || url.hostname === "") {
    return `${name} must be memory, or a redis:// or rediss:// address`;
  }
  if (/^(\/\d{0,5})?$/.test(url.pathname)) return undefined;
  return `${name} must end in its port or in /N, the number of a database`;
}

/** Options with the configuration file that they name.
 * @throws {OptionError} Naming all that is wrong with both. */
export function loadOptions(
  args: readonly string[],
  env: Env,
  readText: (path: string) => string,
): GatewayOptions {
  const path = configPath(args, env);
  const read = path === undefined ? undefined : readConfigFile(path, readText);
  const { options, problems, hostName } = collectOptions(args, env, read?.file);
  problems.unshift(...read?.problems ?? []);
  const keyCount = read?.file?.keyCount ?? 0;
  // Of a file that could not be read at all nobody knows whether it holds keys.
  const isKnown = read === undefined || read.file !== undefined;
  if (isKnown && !options.help) {
    const hasKeys = keyCount > 0 || options.apiKeys !== "";
    problems.push(...wordsOf(() => checkExposure(options, hasKeys, hostName)));
    problems.push(...wordsOf(() => readKeys(options)));
  }
  if (problems.length > 0) throw new OptionError(problems.join("\n"));
  return options;
}

/** What `check` refuses, as lines. */
function wordsOf(check: () => unknown): string[] {
  try {
    check();
    return [];
  } catch (error) {
    if (error instanceof OptionError) return [error.message];
    throw error;
  }
}

/** All keys, of the environment and of the file.
 * @throws {OptionError} */
export function readKeys(options: GatewayOptions): KeyRing {
  try {
    return new KeyRing([...KeyRing.parse(options.apiKeys), ...options.keys]);
  } catch (error) {
    throw new OptionError(`REDRAFT_API_KEYS: ${error instanceof Error ? error.message : error}`);
  }
}

/** Refuses to serve everyone who can reach this machine.
 * @param name What the host was given by.
 * @throws {OptionError} */
export function checkExposure(options: GatewayOptions, hasKeys: boolean, name = "--host"): void {
  if (hasKeys || options.insecure || isLoopback(options.host)) return;
  throw new OptionError(
    `${name} ${options.host} can be reached from other machines and there are no API keys: ` +
      "set REDRAFT_API_KEYS or keys in --config, or say --insecure",
  );
}

/** Refuses to let everyone in because a file has lost its keys, cut off in the middle say.
 * @throws {OptionError} */
export function checkKeysLost(options: GatewayOptions, before: KeyRing, after: KeyRing): void {
  if (before.isEmpty || !after.isEmpty || options.insecure) return;
  throw new OptionError("keys: there are none any more: start anew without keys, or --insecure");
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" ||
    /^127(\.\d{1,3}){3}$/.test(host);
}

function checkNode(url: string, name: string): string {
  const parsed = URL.parse(url);
  if (parsed !== null && (parsed.protocol === "ws:" || parsed.protocol === "wss:")) {
    // The URL is a name in logs and metrics: no secret belongs in it.
    if (parsed.username === "" && parsed.password === "") return parsed.href;
    throw new OptionError(`${name} must not hold a user or password: set REDRAFT_NODE_TOKEN`);
  }
  throw new OptionError(`${name} must be a ws:// or wss:// address, got '${url}'`);
}

/** No `*`: which pages may read answers is said by name. */
function checkOrigin(origin: string, name: string): string {
  if (URL.parse(origin)?.origin === origin) return origin;
  throw new OptionError(`${name} must be like https://example.org, got '${origin}'`);
}
