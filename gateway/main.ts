/** The gateway's process. Runs with `--allow-net --allow-env` alone, and `--allow-read` of its
 * configuration file where it has one. @module */
import { type Gateway, RELOADED, startGateway } from "./gateway.ts";
import { describeError, StderrLog } from "./log.ts";
import {
  configPath,
  type GatewayOptions,
  HELP,
  loadOptions,
  OptionError,
  readKeys,
} from "./options.ts";

const USAGE_STATUS = 2;
/** How often the configuration file is looked at: where it is mounted, nobody sends a signal. */
const CONFIG_POLL_MS = 2_000;

async function main(): Promise<void> {
  let options: GatewayOptions;
  try {
    options = load();
  } catch (error) {
    return refuse(error);
  }
  if (options.help) {
    console.log(HELP);
    return;
  }
  const log = new StderrLog(options.logLevel);
  try {
    await serve(options, log);
  } catch (error) {
    refuse(error);
  }
}

const env = (name: string) => Deno.env.get(name);

function load(): GatewayOptions {
  return loadOptions(Deno.args, env, Deno.readTextFileSync);
}

function watchConfig(onChange: () => void): void {
  const path = configPath(Deno.args, env);
  if (path === undefined) return;
  let last = Deno.readTextFileSync(path);
  setInterval(() => {
    try {
      const text = Deno.readTextFileSync(path);
      if (text === last) return;
      last = text;
    } catch {
      return; // It is being replaced.
    }
    onChange();
  }, CONFIG_POLL_MS);
}

/** Keys and most settings change while requests run; the others are named, and wait for the next
 * start. */
function reload(gateway: Gateway, started: GatewayOptions, log: StderrLog): void {
  try {
    const options = load();
    gateway.setKeys(readKeys(options));
    gateway.reconfigure(options);
    const waiting = settingsWaiting(started, options);
    if (waiting.length === 0) log.write("info", "config.reloaded");
    else log.write("warn", "config.reloaded", { waits_for_restart: waiting });
  } catch (error) {
    // A file that is half written must not lock everyone out: the keys stay as they are.
    log.write("error", "config.refused", { error: describeError(error) });
  }
}

/** Names of those that differ and only count at the start. */
function settingsWaiting(one: GatewayOptions, other: GatewayOptions): string[] {
  const live = new Set<string>(["keys", ...RELOADED]);
  return Object.entries(other)
    .filter(([name, value]) =>
      !live.has(name) && JSON.stringify(value) !== JSON.stringify(Reflect.get(one, name))
    )
    .map(([name]) => name);
}

async function serve(options: GatewayOptions, log: StderrLog): Promise<void> {
  const gateway = await startGateway(options, log);
  // One request's bug must not end everyone's: without these, a throw in a socket's handler or a
  // timer would end the process.
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    gateway.fault(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    gateway.fault(event.reason);
  });
  let stopping = false;
  const stop = async () => {
    if (stopping) Deno.exit(1); // Asked twice: whoever asks does not want to wait.
    stopping = true;
    await gateway.drain();
    log.write("info", "stopped");
    log.flush();
    Deno.exit(0);
  };
  Deno.addSignalListener("SIGTERM", stop);
  Deno.addSignalListener("SIGINT", stop);
  Deno.addSignalListener("SIGHUP", () => reload(gateway, options, log));
  watchConfig(() => reload(gateway, options, log));
  console.log(JSON.stringify({ event: "ready", port: gateway.port, host: options.host }));
}

/** A wrong flag is the caller's mistake; anything else, such as a port in use, is the world's. */
function refuse(error: unknown): void {
  const known = error instanceof OptionError;
  console.error(`gateway: ${known ? error.message : describeError(error)}`);
  if (known) console.error("Try --help.");
  Deno.exit(known ? USAGE_STATUS : 1);
}

if (import.meta.main) main();
