/** `redraft config`: checks a gateway's configuration file, makes API keys. @module */
import { createHash, randomBytes } from "node:crypto";
import { hasBudget } from "../gateway/limits.ts";
import { loadOptions, OptionError, readKeys } from "../gateway/options.ts";
import { type Command, parseOptions, runCommand, UsageError } from "./options.ts";

/** 256 bits: nobody guesses it, so its plain digest may be kept. */
const KEY_BYTES = 32;

const BUDGETS_FORGOTTEN =
  "warning: budget_tokens without a store: what is used is forgotten at every restart, and each " +
  "gateway counts alone; store (or --store, REDRAFT_STORE) names a Redis that keeps it";

function check(path: string): number {
  try {
    const options = loadOptions(["--config", path], () => undefined, Deno.readTextFileSync);
    const keys = readKeys(options);
    const hasStore = options.store !== "memory" || Boolean(Deno.env.get("REDRAFT_STORE"));
    if (!hasStore && hasBudget(keys.principals)) console.error(`${path}: ${BUDGETS_FORGOTTEN}`);
    console.log(`${path}: ${keys.principals.length} keys, listens on ${options.host}`);
    return 0;
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    console.error(error.message);
    return 1;
  }
}

/** The key is shown once, here; the file holds its digest alone. */
function makeKey(tenant: string): number {
  const key = `sk-redraft-${randomBytes(KEY_BYTES).toString("base64url")}`;
  const sha256 = createHash("sha256").update(key).digest("hex");
  console.error(`The key, which is not kept anywhere: ${key}`);
  console.log(JSON.stringify({ tenant, sha256 }));
  return 0;
}

export const command: Command = {
  summary: "check a gateway's configuration file, make an API key",
  words: ["check", "key"],
  help: `Checks a gateway's configuration file, or makes an API key for one.

  redraft config check FILE
  redraft config key TENANT

"check" lists all that is wrong with the file and ends with status 1; it warns, with status 0, of
budgets that nothing would keep. "key" prints a new key on
standard error, and on standard output the entry for the file's list of keys.

The file is JSON or YAML. It holds any of the gateway's flags under its own name, with underscores,
and the keys:

  host: 0.0.0.0
  node: [ws://10.0.0.5:9000, ws://10.0.0.6:9000]
  keys:
    - tenant: search
      sha256: 5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8
      models: [SmolLM2-135M-Instruct]   # all, where it is left out
      priority: 10                      # 0 to 100; of waiting requests the highest goes first
      requests_per_minute: 600
      tokens_per_minute: 200000         # prompt and the most that may be generated
      requests_in_flight_max: 32
      budget_tokens: 50000000
      budget_period: month              # or day; by the UTC calendar
      may_pick_node: true               # by x-smg-target-worker; false, where it is left out
      sockets_max: 16                   # WebSockets open at once
`,
  run(args) {
    const { positionals } = parseOptions(args, {}, 2);
    const [verb, word] = positionals;
    if (verb === "check" && word !== undefined) return Promise.resolve(check(word));
    if (verb === "key" && word !== undefined) return Promise.resolve(makeKey(word));
    throw new UsageError("Say 'config check FILE' or 'config key TENANT'");
  },
};

if (import.meta.main) await runCommand(command, Deno.args);
