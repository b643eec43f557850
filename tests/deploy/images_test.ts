/** The container files: everything that a program imports is copied into its image, which runs as
 * nobody, from these bytes and no other. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { filesOf } from "./image_files.ts";

const IMAGES = join(ROOT, "deploy", "images");

const readImage = (name: string) => Deno.readTextFile(join(IMAGES, `${name}.Containerfile`));

function expectCopied(files: string[], sources: string[]): void {
  assert.ok(files.length > 20, `${files.length} files`);
  const missing = files.filter((file) =>
    !sources.some((source) => file === source || file.startsWith(`${source}/`))
  );
  assert.deepEqual(missing, []);
}

Deno.test("images: the gateway's holds all that it imports", async () => {
  const copies = [...(await readImage("gateway")).matchAll(/^COPY (?!--from)(.+)$/gm)];
  const sources = copies.flatMap(([, words]) => words!.trim().split(/\s+/).slice(0, -1));
  expectCopied(await filesOf("gateway/main.ts"), sources);
  for (const source of sources) await Deno.stat(join(ROOT, source));
});

Deno.test("images: the node's holds all that it imports", async () => {
  const copies = [...(await readImage("node")).matchAll(/cp -r (.+?) node\/(\S*)/g)];
  const sources = copies.flatMap(([, words]) => words!.split(/\s+/));
  expectCopied(await filesOf("gpu-node/main.ts"), sources);
  for (const source of sources) await Deno.stat(join(ROOT, source));
});

Deno.test("images: pinned by digest, not root, without all permissions", async () => {
  for (const name of ["gateway", "node"]) {
    const text = await readImage(name);
    const bases = [...text.matchAll(/^ARG DEBIAN=(.+)$/gm)].map(([, base]) => base);
    assert.equal(bases.length, 1);
    assert.match(bases[0]!, /^debian:[\d.]+-slim@sha256:[0-9a-f]{64}$/);
    const own = new Set([...text.matchAll(/ AS (\S+)$/gm)].map(([, stage]) => stage!));
    for (const [, base] of text.matchAll(/^FROM (\S+)/gm)) {
      assert.ok(base === "${DEBIAN}" || own.has(base!), `${name}: FROM ${base}`);
    }
    assert.match(
      text.trim().split("\n").findLast((line) => line.startsWith("USER"))!,
      /^USER 10001/,
    );
    const entry = /^ENTRYPOINT (\[(?:.*\\\n)*.*\])$/m.exec(text)![1]!;
    const words: string[] = JSON.parse(entry.replaceAll("\\\n", ""));
    assert.ok(words.includes("--cached-only") && words.includes("--no-prompt"));
    assert.ok(!words.some((word) => word === "-A" || word === "--allow-all"));
  }
  const deno = await Deno.readTextFile(join(IMAGES, "deno.txt"));
  assert.match(deno, new RegExp(`deno==${Deno.version.deno.replaceAll(".", "\\.")} `));
});
