/** Bundles the playground into `playground/pkg/`, `deno task build:playground`. Only who changes
 * its sources runs this: the bundle is committed and imported, so that the gateway reads no file.
 * @module */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ROOT } from "./paths.ts";

const SOURCES = join(ROOT, "playground", "src");
const PACKAGE = join(ROOT, "playground", "pkg");

function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

async function sourceDigests(): Promise<string> {
  const entries = await Array.fromAsync(Deno.readDir(SOURCES));
  const names = entries.map(({ name }) => name).sort();
  const lines = await Promise.all(
    names.map(async (name) => `${sha256(await Deno.readFile(join(SOURCES, name)))}  src/${name}\n`),
  );
  return lines.join("");
}

const HELP = `Builds playground/pkg/, which is committed, from the sources beside it.

  deno task build:playground
`;

async function main(): Promise<void> {
  if (parseArgs({ options: { help: { type: "boolean", short: "h" } } }).values.help) {
    console.log(HELP);
    return;
  }
  // esbuild, as `deno bundle` runs it: it knows where Deno keeps its packages.
  const entry = join(SOURCES, "main.ts");
  const args = ["bundle", "--quiet", "--minify", "--platform", "browser", entry];
  const built = await new Deno.Command(Deno.execPath(), { args, stderr: "inherit" }).output();
  if (!built.success) throw new Error("Cannot bundle the playground");
  const read = (name: string) => Deno.readTextFile(join(SOURCES, name));
  const svg = await read("icon.svg");
  const files = { html: await read("page.html"), css: await read("style.css"), svg };
  const all = { ...files, js: new TextDecoder().decode(built.stdout) };
  const digest = sha256(JSON.stringify(all)).slice(0, 32);
  const text = JSON.stringify({ digest, ...all }, null, 2);
  await Deno.mkdir(PACKAGE, { recursive: true });
  await Deno.writeTextFile(join(PACKAGE, "files.js"), `export const PLAYGROUND = ${text};\n`);
  const names = ["digest", ...Object.keys(all)].map((name) => `  ${name}: string;\n`).join("");
  await Deno.writeTextFile(
    join(PACKAGE, "files.d.ts"),
    `export const PLAYGROUND: {\n${names}};\n`,
  );
  await Deno.writeTextFile(join(PACKAGE, "SOURCES.sha256"), await sourceDigests());
}

if (import.meta.main) await main();
