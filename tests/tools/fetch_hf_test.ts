import assert from "node:assert/strict";
import { join } from "node:path";
import { fetchFromHub, HubError } from "../../tools/fetch_hf.ts";

const FILE = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7) & 0xff);

interface Hub {
  ranges: Array<string | null>;
  tokens: Array<string | null>;
  /** Bytes after which the connection breaks, for the next request only. */
  breakAfter?: number;
  tag: string;
  status?: number;
}

/** A hub with one file that honours Range and If-Range, and breaks when it is told to. */
async function withHub(test: (hub: Hub, target: string) => Promise<void>): Promise<void> {
  const hub: Hub = { ranges: [], tokens: [], tag: '"v1"' };
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const range = request.headers.get("range");
    hub.ranges.push(range);
    hub.tokens.push(request.headers.get("authorization"));
    if (hub.status) return new Response("no", { status: hub.status });
    const fresh = request.headers.get("if-range") === hub.tag;
    const offset = range && fresh ? Number(/bytes=(\d+)-/.exec(range)![1]) : 0;
    const whole = FILE.subarray(offset);
    const broken = hub.breakAfter !== undefined;
    const body = broken ? breakingBody(whole.subarray(0, hub.breakAfter)) : whole;
    hub.breakAfter = undefined;
    const headers = { etag: hub.tag, "content-length": String(whole.length) };
    return new Response(body, { status: offset > 0 ? 206 : 200, headers });
  });
  const folder = await Deno.makeTempDir();
  const before = ["HF_ENDPOINT", "HF_TOKEN"].map((name) => [name, Deno.env.get(name)] as const);
  Deno.env.set("HF_ENDPOINT", `http://127.0.0.1:${server.addr.port}/`);
  Deno.env.set("HF_TOKEN", "secret");
  try {
    await test(hub, join(folder, "model.partial"));
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Deno.env.delete(name);
      else Deno.env.set(name, value);
    }
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

function breakingBody(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let sent = false;
  return new ReadableStream({
    pull(controller) {
      if (sent) return controller.error(new Error("the wire was cut"));
      sent = true;
      controller.enqueue(bytes);
    },
  });
}

Deno.test("fetchFromHub() goes on where the connection broke", async () => {
  await withHub(async (hub, target) => {
    hub.breakAfter = 100_000;
    const fetched = await fetchFromHub("owner/repo", "a b/model.gguf", target);
    assert.equal(fetched.name, "model.gguf");
    assert.deepEqual(await Deno.readFile(target), FILE);
    assert.equal(hub.ranges[0], null);
    assert.match(hub.ranges[1]!, /^bytes=\d+-$/);
    assert.deepEqual(new Set(hub.tokens), new Set(["Bearer secret"]));
  });
});

Deno.test("fetchFromHub() starts anew when the hub's file has changed", async () => {
  await withHub(async (hub, target) => {
    await Deno.writeFile(target, new Uint8Array(50_000));
    const url = `${Deno.env.get("HF_ENDPOINT")}owner/repo/resolve/main/model.gguf`;
    await Deno.writeTextFile(`${target}.json`, JSON.stringify({ url, tag: '"v0"' }));
    await fetchFromHub("owner/repo", "model.gguf", target);
    assert.equal(hub.ranges[0], "bytes=50000-");
    assert.deepEqual(await Deno.readFile(target), FILE);
  });
});

Deno.test("fetchFromHub() does not insist where the hub refuses", async () => {
  await withHub(async (hub, target) => {
    hub.status = 401;
    await assert.rejects(
      fetchFromHub("owner/repo", "model.gguf", target),
      (error) => error instanceof HubError && /HTTP 401; HF_TOKEN/.test(error.message),
    );
    assert.equal(hub.ranges.length, 1);
  });
});
