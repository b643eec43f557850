/** Programs that check what deploy/ holds: found, or installed where that is allowed. @module */
import { join } from "node:path";
import { findProgram } from "../../tools/process.ts";
import { CACHE } from "../../tools/paths.ts";
import { ran } from "./scripts.ts";

const TOOLS = join(CACHE, "tools");
/** Of two CPUs, helm takes three minutes the first time. */
const GO_MS_MAX = 300_000;

function isRoot(): boolean {
  return Deno.uid() === 0;
}

/** Says which tests there are none of, and why: nothing is skipped in silence. */
function name(program: string, words: string): null {
  console.warn(`Not checked on this machine: ${program} is missing; ${words}`);
  return null;
}

/** A program of a Debian package; installed where we are root. Services are not started by that.
 * @returns Its path, or `null` where it cannot be had: that is said. */
export async function debianTool(program: string, debianPackage = program): Promise<string | null> {
  const found = await findProgram(program);
  if (found) return found;
  const apt = await findProgram("apt-get");
  if (!isRoot() || !apt) return name(program, `install ${debianPackage}`);
  const env = { DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const lock = ["-o", "DPkg::Lock::Timeout=120", "-qq"];
  const install = [...lock, "install", "-y", "--no-install-recommends", debianPackage];
  let result = await ran(apt, install, env);
  if (result.code !== 0) {
    await ran(apt, [...lock, "update"], env);
    result = await ran(apt, install, env);
  }
  return result.code === 0
    ? await findProgram(program)
    : name(program, `apt-get install ${debianPackage}: ${result.text.trim().split("\n").at(-1)}`);
}

/** A program that `go install` makes, in the cache; the first time takes minutes.
 * @returns Its path, or `null` where it cannot be had: that is said. */
export async function goTool(program: string, source: string): Promise<string | null> {
  const path = join(TOOLS, program);
  const own = join(Deno.env.get("HOME") ?? "/", "go", "bin", program);
  for (const one of [program, path, own]) {
    const found = await findProgram(one);
    if (found) return found;
  }
  const go = await findProgram("go");
  if (!go) return name(program, `install Go, or go install ${source}`);
  console.warn(`${program}: go install ${source}`);
  const { code, text } = await ran(
    go,
    ["install", source],
    { GOBIN: TOOLS, GOFLAGS: "" },
    GO_MS_MAX,
  );
  return code === 0
    ? path
    : name(program, `go install ${source}: ${text.trim().split("\n").at(-1)}`);
}

/** A Go module's files, fetched by Go once; some bring the schemas of what they define.
 * @returns Its folder, or `null` where it cannot be had: that is said. */
export async function goModule(source: string): Promise<string | null> {
  const go = await findProgram("go");
  if (!go) return name(source, "install Go");
  const env = { GOFLAGS: "", GO111MODULE: "on" };
  const { code, text } = await ran(go, ["mod", "download", "-json", source], env, GO_MS_MAX);
  if (code === 0) return JSON.parse(/^\{[^]*^\}/m.exec(text)![0]).Dir;
  return name(source, `go mod download: ${text.trim().split("\n").at(-1)}`);
}
