/** What the images, units and bundles of deploy/ run to fetch packages, and to start. @module */
import { join } from "node:path";

const DEPLOY = new URL("../../deploy/", import.meta.url).pathname;

export interface ShippedCommand {
  /** Of its file, below deploy/. */
  path: string;
  /** In one line, without quotes. */
  words: string;
  /** It is what a container or a unit starts. */
  isStart: boolean;
}

/** Every command of Deno's or pip's in them that may fetch, and each image's base. */
export async function shippedCommands(): Promise<ShippedCommand[]> {
  const commands: ShippedCommand[] = [];
  for await (const path of filesUnder(DEPLOY)) {
    if (!/(Containerfile|\.service|\/edge\/\w+\.sh)$/.test(path)) continue;
    // Lines that go on are one.
    const text = (await Deno.readTextFile(path)).replaceAll("\\\n", " ");
    for (const line of text.split("\n")) {
      if (/^\s*#/.test(line)) continue;
      const isStart = /^(ENTRYPOINT|HEALTHCHECK|CMD|ExecStart=|exec )/.test(line);
      for (const part of line.split(/&&|\|\||;/)) {
        const words = part.replaceAll(/["',[\]]/g, " ").replaceAll(/\s+/g, " ").trim();
        if (!/(deno|\$DENO|pip) (run|cache|bundle|install)\b|^ARG \w+=.*[:@]|^FROM /.test(words)) {
          continue;
        }
        commands.push({ path: path.slice(DEPLOY.length), words, isStart });
      }
    }
  }
  return commands;
}

async function* filesUnder(folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* filesUnder(path);
    else yield path;
  }
}
