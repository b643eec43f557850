/** The configuration file: keys with what they may do, and every flag under its own name. JSON or
 * YAML; all that is wrong with it is said at once. Pure. @module */
import { parseDocument } from "yaml";
import { fromHex, type KeyEntry, keyIdOf, KEYS_MAX, PRIORITY_MAX } from "./auth.ts";
import { ApiError } from "./errors.ts";
import { Fields } from "./fields.ts";
import type { KeyLimits } from "./limits.ts";

export const CONFIG_BYTES_MAX = 1 << 20;
const PROBLEMS_MAX = 50;
const AMOUNT_MAX = 1_000_000_000_000;
/** As many as `--sockets-max` may be. */
const SOCKETS_MAX = 65_536;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The file is not what it should be; the message lists every problem, a line each. */
export class ConfigError extends RangeError {
  override readonly name = "ConfigError";
  /** @param rest What of it could be read, so that this can be checked as well. */
  constructor(message: string, readonly rest?: ConfigFile) {
    super(message);
  }
}

export type SettingKind = "number" | "text" | "list" | "switch";

export interface ConfigFile {
  keys: KeyEntry[];
  /** Keys that it lists, right or wrong. */
  keyCount: number;
  /** Values of flags, by the flag's name, as the command line would give them. */
  settings: ReadonlyMap<string, string | string[] | boolean>;
}

const KEY_FIELDS: ReadonlySet<string> = new Set([
  "tenant",
  "sha256",
  "models",
  "priority",
  "requests_per_minute",
  "tokens_per_minute",
  "requests_in_flight_max",
  "budget_tokens",
  "budget_period",
  "may_pick_node",
  "sockets_max",
]);

/** @param kinds The flags that the file may set.
 * @throws {ConfigError} */
export function readConfig(text: string, kinds: ReadonlyMap<string, SettingKind>): ConfigFile {
  if (text.length > CONFIG_BYTES_MAX) throw new ConfigError("it is over a mebibyte");
  const problems = new Problems();
  const root = problems.try(() => Fields.of(parse(text), ""));
  if (root === undefined) throw problems.error();
  const settings = new Map<string, string | string[] | boolean>();
  for (const name of root.keys()) {
    const flag = name.replaceAll("_", "-");
    const kind = kinds.get(flag);
    if (name === "keys" || !root.has(name)) continue;
    if (kind === undefined || name.includes("-")) {
      problems.add(`Unknown setting '${name.slice(0, 128)}'.`);
      continue;
    }
    const value = problems.try(() => readSetting(root, name, kind));
    if (value !== undefined) settings.set(flag, value);
  }
  const items = problems.try(() => root.array("keys", KEYS_MAX)) ?? [];
  const keys: KeyEntry[] = [];
  items.forEach((item, i) => {
    const entry = problems.try(() => readKey(item, `keys[${i}]`, problems));
    if (entry === undefined) return;
    const twin = keys.findIndex(({ principal }) => principal.keyId === entry.principal.keyId);
    if (twin >= 0) problems.add(`'keys[${i}].sha256' is that of an earlier key.`);
    else keys.push(entry);
  });
  const file = { keys, keyCount: items.length, settings };
  if (problems.found) throw problems.error(file);
  return file;
}

function parse(text: string): unknown {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  // Its first line says what and where; the rest quotes the file, which logs must not hold.
  if (error !== undefined) throw new ConfigError(error.message.split("\n")[0]!.replace(/:$/, "."));
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    if (error instanceof ReferenceError) throw new ConfigError(`${error.message}.`);
    throw error;
  }
}

function readSetting(root: Fields, name: string, kind: SettingKind): string | string[] | boolean {
  switch (kind) {
    case "switch":
      return root.boolean(name) ?? false;
    case "number":
      return String(root.integer(name, 0, Number.MAX_SAFE_INTEGER));
    case "text":
      return root.requiredString(name, 4096);
    case "list":
      return (root.array(name, 256) ?? []).map((item, i) => {
        if (typeof item === "string") return item;
        throw new ConfigError(`Invalid type for '${name}[${i}]': expected a string.`);
      });
  }
}

function readKey(item: unknown, path: string, problems: Problems): KeyEntry | undefined {
  const fields = Fields.of(item, path);
  const check = <T>(read: () => T) => problems.try(read);
  check(() => fields.refuseUnknown(KEY_FIELDS));
  const tenant = check(() => readTenant(fields));
  const digest = check(() => readDigest(fields));
  const amount = (name: string, least = 1) => check(() => fields.integer(name, least, AMOUNT_MAX));
  const limits: KeyLimits = {
    ...optional("requestsPerMinute", amount("requests_per_minute")),
    ...optional("tokensPerMinute", amount("tokens_per_minute")),
    ...optional("inFlightMax", amount("requests_in_flight_max")),
    ...optional("budgetTokens", amount("budget_tokens")),
    budgetPeriod: check(() => fields.oneOf("budget_period", ["day", "month"])) ?? "month",
  };
  const priority = check(() => fields.integer("priority", 0, PRIORITY_MAX)) ?? 0;
  const models = check(() => readModels(fields));
  const mayPickNode = check(() => fields.boolean("may_pick_node")) || undefined;
  const socketsMax = check(() => fields.integer("sockets_max", 0, SOCKETS_MAX));
  if (tenant === undefined || digest === undefined) return undefined;
  const isLimited = Object.keys(limits).length > 1;
  return {
    digest,
    principal: {
      tenant,
      keyId: keyIdOf(digest),
      priority,
      ...(isLimited ? { limits } : {}),
      ...optional("models", models),
      ...optional("mayPickNode", mayPickNode),
      ...optional("socketsMax", socketsMax),
    },
  };
}

function readTenant(fields: Fields): string {
  const tenant = fields.requiredString("tenant", 64);
  if (TENANT.test(tenant)) return tenant;
  throw new ConfigError(`'${fields.name("tenant")}' must be letters, digits, '.', '_' and '-'.`);
}

function readDigest(fields: Fields): Uint8Array {
  const hex = fields.requiredString("sha256", 128);
  if (/^[0-9a-fA-F]{64}$/.test(hex)) return fromHex(hex);
  throw new ConfigError(`'${fields.name("sha256")}' must be the key's SHA-256 as 64 hex digits.`);
}

function readModels(fields: Fields): ReadonlySet<string> | undefined {
  const items = fields.array("models", 64);
  if (items === undefined) return undefined;
  if (items.every((item) => typeof item === "string")) return new Set(items as string[]);
  throw new ConfigError(`Invalid type for '${fields.name("models")}': expected model names.`);
}

function optional<K extends string, T>(name: K, value: T | undefined): { [P in K]?: T } {
  return value === undefined ? {} : { [name]: value } as { [P in K]?: T };
}

/** Gathers what is wrong, so that one run of the program shows all of it. */
class Problems {
  readonly #messages: string[] = [];

  get found(): boolean {
    return this.#messages.length > 0;
  }

  add(message: string): void {
    if (this.#messages.length < PROBLEMS_MAX) this.#messages.push(message);
  }

  try<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      if (!(error instanceof ApiError || error instanceof ConfigError)) throw error;
      this.add(error.message);
      return undefined;
    }
  }

  error(rest?: ConfigFile): ConfigError {
    return new ConfigError(this.#messages.join("\n"), rest);
  }
}
