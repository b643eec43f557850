/** Bytes on the wire: too many, out of order, or too slow. */
import assert from "node:assert/strict";
import { statusOf, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { BODY_READ_MS_MAX, readJsonBody } from "../../gateway/json_body.ts";
import { Deadlines } from "../../gateway/deadlines.ts";
import { ApiError } from "../../gateway/errors.ts";
import { decodeFrame, FrameError } from "../../proto/frame.ts";
import { LIMITS } from "../../proto/limits.ts";
import { NodeClient } from "../support/node_client.ts";
import { withNode } from "../gpu-node/fake_node.ts";
import { attack, errorOf, raw, statusIn } from "./attack.ts";

attack(8, async () => {
  await withGateway(async (fixture) => {
    const { chat, post, url } = fixture;
    const get = (path: string, head: string) =>
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${head}\r\n`;
    const big = [
      get("/healthz", `X-A: ${"a".repeat(400_000)}\r\n`),
      get("/healthz", Array.from({ length: 300 }, (_, i) => `X-${i}: 1\r\n`).join("")),
      get(`/healthz?${"a".repeat(150_000)}`, ""),
    ];
    for (const request of big) {
      const status = statusIn(await raw(fixture, request));
      assert.ok(status === 0 || status >= 400, String(status));
    }
    // Past the limit with a length, and without one.
    const body = JSON.stringify({ model: "scripted", prompt: "x".repeat(2 << 20) });
    assert.equal(
      (await errorOf(await post("/v1/completions", body), 413)).code,
      "request_too_large",
    );
    const stream = new Blob([body]).stream();
    const chunked = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: stream,
    });
    assert.equal((await errorOf(chunked, 413)).code, "request_too_large");
    // A bomb is not unpacked, in whichever packing.
    for (const encoding of ["gzip", "br", "deflate", "zstd", "gzip, identity"]) {
      const init = { headers: { "content-encoding": encoding } };
      await errorOf(await post("/v1/completions", "{}", init), 415);
    }
    const deep = `{"model":"scripted","prompt":${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
    assert.equal((await errorOf(await post("/v1/completions", deep), 400)).code, "invalid_json");
    assert.equal(await statusOf(await chat()), 200);
  }, { args: ["--body-max-mib", "1"] });
});

attack(21, async () => {
  await withGateway(async (fixture) => {
    const post = (head: string, body: string) =>
      raw(fixture, `POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n${head}\r\n${body}`);
    const heads = [
      "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
      "Content-Length: 2\r\nContent-Length: 3\r\n",
      "Content-Length: 2, 3\r\n",
      "Content-Length: +2\r\n",
      "Content-Length: 2 \x00\r\n",
      "Transfer-Encoding: chunked, identity\r\n",
      "Transfer-Encoding: xchunked\r\n",
      "Transfer-Encoding : chunked\r\n",
      "X: a\r\n folded: b\r\nContent-Length: 2\r\n",
      "Host: other\r\nContent-Length: 2\r\n",
    ];
    for (const head of heads) {
      const status = statusIn(await post(head, "{}"));
      assert.ok(status === 0 || status === 400, `${status}: ${JSON.stringify(head)}`);
    }
    // What comes after a body is a request of its own or nothing: never part of the first.
    const two = "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n";
    const answer = await post(two, "{}GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert.equal(statusIn(answer), 400);
    assert.doesNotMatch(answer, /redraft_gateway/);
    assert.equal(fixture.node.submits.length, 0);
  });
});

attack(22, async () => {
  // Slow heads are the front's to cut (tests/deploy/front_test.ts runs it); its bounds stand here.
  const front = await Deno.readTextFile(new URL("../../deploy/front/nginx.conf", import.meta.url));
  for (const bound of ["client_header_timeout", "client_body_timeout", "send_timeout"]) {
    const seconds = Number(new RegExp(`${bound}\\s+(\\d+)s;`).exec(front)?.[1]);
    assert.ok(seconds > 0 && seconds <= 60, `${bound} ${seconds}`);
  }
  assert.match(front, /limit_conn\s/);
  // A body that drips is cut by the gateway itself.
  assert.ok(BODY_READ_MS_MAX <= 30_000);
  let now = 0;
  const deadlines = new Deadlines(() => now);
  const dripping = new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(new Uint8Array(1)) });
  const request = new Request("http://localhost/", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: dripping,
  });
  const read = readJsonBody(request, { options: { bodyBytesMax: 1024 }, deadlines });
  now = BODY_READ_MS_MAX + 1;
  await assert.rejects(read, (error) => {
    assert.ok(error instanceof ApiError);
    return error.status === 408 && error.code === "request_timeout";
  });
  deadlines.close();
  // Two hundred that hold on to a half-sent head keep nobody else out.
  await withGateway(async ({ chat, gateway }) => {
    const address = { hostname: "127.0.0.1", port: gateway.port };
    const slow = await Promise.all(Array.from({ length: 200 }, () => Deno.connect(address)));
    try {
      const half = new TextEncoder().encode("POST /v1/chat/completions HTTP/1.1\r\nHost: local");
      await Promise.all(slow.map((connection) => connection.write(half)));
      assert.equal(await statusOf(await chat()), 200);
    } finally {
      for (const connection of slow) connection.close();
    }
  });
});

attack(25, async () => {
  const nested = (depth: number) => {
    let bytes = new Uint8Array(0);
    for (let i = 0; i < depth && bytes.length < 100; i++) {
      bytes = Uint8Array.of(0x1a, bytes.length, ...bytes);
    }
    return bytes;
  };
  const bombs = [
    Uint8Array.of(0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f), // A length of four gigabytes.
    Uint8Array.of(0x1a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
    nested(40),
    new Uint8Array(LIMITS.frameBytesMax + 1),
    Uint8Array.of(0x1a, 5, 0x08, 1, 0x12, 0xff, 0x7f), // Tokens that are not there.
  ];
  for (const bomb of bombs) assert.throws(() => decodeFrame(bomb), FrameError);
  await withNode(async ({ port }) => {
    for (const bomb of bombs) {
      const client = await NodeClient.connect(port);
      client.sendBytes(bomb);
      const closed = await Promise.race([
        client.closed,
        client.failure(0).then(() => client.close()).then(() => 0),
      ]);
      assert.ok([0, 1002, 1005, 1007, 1009].includes(closed as number), String(closed));
    }
    const client = await NodeClient.connect(port);
    await client.close();
  });
  // A node's frame is no safer than a gateway's.
  await withGateway(async ({ nodes, chat, gateway }) => {
    nodes[0]!.sendBytes(bombs[0]!);
    await waitUntil(() => gateway.services.pool.readyCount === 2, "it comes back");
    assert.equal(await statusOf(await chat()), 200);
  }, { nodes: [{}, {}] });
});
