/** `redraft top`: the fleet as the gateway sees it, in the terminal. @module */
import process from "node:process";
import { getJson, type Target } from "./chat_stream.ts";
import type { Fleet } from "../proto/fleet.ts";
import { fleetLines } from "./fleet_table.ts";
import {
  readTarget,
  TARGET_ENV_HELP,
  TARGET_OPTIONS,
  TARGET_OPTIONS_HELP,
} from "./gateway_target.ts";
import { type Command, parseOptions, realNumber, runCommand } from "./options.ts";
import { harmless, print, styled } from "./terminal.ts";

const LEAVE = ["q", "\x03", "\x04", "\x1b"];

/** A second screen, so that what stood there before comes back. */
const ENTER_SCREEN = "\x1b[?1049h\x1b[?25l";
const LEAVE_SCREEN = "\x1b[?25h\x1b[?1049l";

function look(target: Target): Promise<Fleet> {
  return getJson<Fleet>(target, "/v1/fleet");
}

function draw(lines: readonly string[]): void {
  const size = Deno.consoleSize();
  // Some terminals do not tell their size.
  const columns = size.columns || 80, rows = size.rows || 24;
  const shown = lines.slice(0, rows - 1).map((line, i) => {
    const cut = harmless(line).slice(0, columns);
    return `${i === 0 || i === 2 ? styled("bold", cut) : cut}\x1b[K`;
  });
  print(`\x1b[H${shown.join("\r\n")}\x1b[J`);
}

/** Resolves when a key, or a signal, says to leave. */
function left(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, resolve);
    if (!Deno.stdin.isTerminal()) return;
    process.stdin.setRawMode(true);
    process.stdin.on("data", (bytes: Uint8Array) => {
      if (LEAVE.includes(new TextDecoder().decode(bytes))) resolve();
    });
  });
}

async function follow(target: Target, intervalMs: number): Promise<void> {
  let leaving = false;
  const gone = left().then(() => leaving = true);
  print(ENTER_SCREEN);
  try {
    while (!leaving) {
      // A gateway that is away may come back.
      draw(await look(target).then(fleetLines, (error) => [(error as Error).message]));
      await Promise.race([gone, new Promise((resolve) => setTimeout(resolve, intervalMs))]);
    }
  } finally {
    print(LEAVE_SCREEN);
    if (Deno.stdin.isTerminal()) process.stdin.setRawMode(false);
  }
}

async function top(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...TARGET_OPTIONS,
    "interval-s": { type: "string" },
    once: { type: "boolean" },
  });
  const bounds = { min: 0.2, max: 3600, fallback: 1 };
  const intervalMs = 1000 * realNumber(values, "interval-s", bounds);
  const target = readTarget(values);
  const first = await look(target);
  if (!values.once && Deno.stdout.isTerminal()) await follow(target, intervalMs);
  else print(`${fleetLines(first).map(harmless).join("\n")}\n`);
  return 0;
}

export const command: Command = {
  summary: "watch the nodes of a gateway",
  help:
    `Shows the nodes of a gateway: slots, KV pages, queue, tokens per step and per second, prefix
hits and how many steps accepted 1, 2, 3 .. draft tokens or more. Drawn anew on a terminal until q;
one plain table where the output is not a terminal.

  redraft top [OPTIONS]

${TARGET_OPTIONS_HELP}
  --interval-s S    between two looks (default 1)
  --once            one table, on a terminal too

${TARGET_ENV_HELP}

Examples:
  redraft top
  redraft top --url http://10.0.0.2:8080 | tee fleet.txt
`,
  run: top,
};

if (import.meta.main) await runCommand(command, Deno.args);
