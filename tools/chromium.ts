/** A real Chromium for tests and screenshots: found, or installed from Debian where we may.
 * @module */
import { exists } from "./paths.ts";
import { findProgram, runProcess } from "./process.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome"] as const;

/** There is no Chromium and none can be installed; the message says what to do. */
export class NoChromiumError extends Error {
  override readonly name = "NoChromiumError";
}

async function found(): Promise<string | undefined> {
  const named = Deno.env.get("REDRAFT_CHROMIUM");
  if (named) {
    if (await exists(named)) return named;
    throw new NoChromiumError(`Cannot find REDRAFT_CHROMIUM: there is no ${named}`);
  }
  for (const name of NAMES) {
    const path = await findProgram(name);
    if (path) return path;
  }
  return undefined;
}

async function install(log: (line: string) => void): Promise<void> {
  const apt = await findProgram("apt-get");
  if (!apt || Deno.uid() !== 0) return;
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const args = ["install", "-y", "--no-install-recommends", "chromium"];
  log("browser: installing Debian's chromium");
  const first = await runProcess(apt, args, { env });
  if (first.code === 0) return;
  // A fresh image has no list of packages yet.
  await runProcess(apt, ["update"], { env });
  const { code, stderr } = await runProcess(apt, args, { env });
  if (code !== 0) log(stderr.trim().split("\n").slice(-3).join("\n"));
}

/** @returns Its path.
 * @throws {NoChromiumError} */
export async function provideChromium(log: (line: string) => void = () => {}): Promise<string> {
  const path = await found();
  if (path) return path;
  await install(log);
  const installed = await found();
  if (installed) return installed;
  throw new NoChromiumError(
    "Cannot find Chromium: install Debian's package chromium, or name one in REDRAFT_CHROMIUM",
  );
}

/** As root Chromium has no sandbox; what it opens here is our own page. */
export function launchOptions(executablePath: string) {
  return { executablePath, chromiumSandbox: Deno.uid() !== 0 };
}
