/** Headers of replies: who may keep them, and which a web page may read. */
import assert from "node:assert/strict";
import { withGateway } from "../support/scripted_gateway.ts";
import { ROOT } from "../support/source_files.ts";

const ORIGIN = "https://page.example";

Deno.test("what differs by key is kept by no cache for another key", async () => {
  await withGateway(async ({ url, post }) => {
    const replies = {
      "/v1/models": await fetch(`${url}/v1/models`),
      "/v1/models/scripted": await fetch(`${url}/v1/models/scripted`),
      "/v1/capabilities": await fetch(`${url}/v1/capabilities`),
      "/v1/fleet": await fetch(`${url}/v1/fleet`),
      "/tokenize": await post("/tokenize", { prompt: "Hi" }),
      "/detokenize": await post("/detokenize", { tokens: [72] }),
    };
    for (const [path, reply] of Object.entries(replies)) {
      await reply.body?.cancel();
      assert.equal(reply.status, 200, path);
      assert.equal(reply.headers.get("cache-control"), "private, no-store", path);
      assert.equal(reply.headers.get("vary"), "authorization", path);
    }
    const document = await fetch(`${url}/openapi.json`);
    await document.body?.cancel();
    assert.equal(document.headers.get("cache-control"), "private, max-age=300");
    assert.equal(document.headers.get("vary"), "authorization");
  });
});

Deno.test("a page may read every header that the documentation names", async () => {
  const text = await Deno.readTextFile(`${ROOT}/docs/api.md`);
  const table = text.split("| answer | |")[1]!.split("\n\n")[0]!;
  const cells = table.split("\n").map((row) => row.split("|")[1] ?? "");
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([a-z-]+\*?)(?::[^`]*)?`/g)])
    .map(([, name]) => name!);
  assert.ok(names.length > 10, names.join());
  await withGateway(async ({ chat }) => {
    const reply = await chat({}, { headers: { origin: ORIGIN } });
    await reply.body?.cancel();
    const exposed = reply.headers.get("access-control-expose-headers")!.split(", ");
    for (const name of names) {
      const isExposed = name.endsWith("*")
        ? exposed.some((one) => one.startsWith(name.slice(0, -1)))
        : exposed.includes(name);
      assert.ok(isExposed, name);
    }
    // And those that there are, but for the ones that a page always may and the server's own.
    const always = /^(access-control-.*|cache-control|connection|content-.*|date|keep-alive|vary)$/;
    for (const name of reply.headers.keys()) {
      assert.ok(always.test(name) || exposed.includes(name), name);
    }
  }, { args: ["--cors-origin", ORIGIN] });
});
