/** One supervised child until a signal ends it. @module */
import type { Service } from "./supervisor.ts";

const DRAIN_TIMEOUT_MS = 30_000;

/** Calls `stop` on the first SIGINT or SIGTERM, `kill` on the next. */
export function onSignals(stop: () => void, kill: () => void): void {
  let asked = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      if (asked) return kill();
      asked = true;
      stop();
    });
  }
}

/** Runs one child until it is stopped or given up. Returns the exit status. */
export async function runService(
  create: (log: (line: string) => void) => Service,
): Promise<number> {
  const service = create((line) => console.error(line));
  let asked = false;
  onSignals(() => {
    asked = true;
    service.stop(DRAIN_TIMEOUT_MS);
  }, () => service.kill());
  Deno.addSignalListener("SIGHUP", () => service.reload());
  await service.start();
  console.log(`ready on port ${service.port}`);
  await service.gone;
  return asked ? 0 : 1;
}
