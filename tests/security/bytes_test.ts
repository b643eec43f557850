/** Bytes on the wire: too many, out of order, or too slow. */
import assert from "node:assert/strict";
import { listen, say } from "../support/raw_client.ts";
import { chatBody, statusOf, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { Reply } from "../../gateway/reply.ts";
import { BODY_READ_MS_MAX, readJsonBody } from "../../gateway/json_body.ts";
import { Deadlines } from "../../gateway/deadlines.ts";
import { ApiError } from "../../gateway/errors.ts";
import { decodeFrame, FrameError } from "../../proto/frame.ts";
import { LIMITS } from "../../proto/limits.ts";
import { NodeClient } from "../support/node_client.ts";
import { withNode } from "../gpu-node/fake_node.ts";
import { attack, errorOf, raw, statusIn } from "./attack.ts";
import { NGINX, slowHttp, SLOWHTTPTEST, withShippedFront } from "./shipped_front.ts";
import { ENDLESS, ENDLESS_CONTEXT, openUnread } from "./slow_reader.ts";

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
  // Slow heads are the front's to cut; its bounds stand here.
  const front = await Deno.readTextFile(new URL("../../deploy/front/nginx.conf", import.meta.url));
  for (const bound of ["client_header_timeout", "client_body_timeout", "send_timeout"]) {
    const seconds = Number(new RegExp(`${bound}\\s+(\\d+)s;`).exec(front)?.[1]);
    assert.ok(seconds > 0 && seconds <= 60, `${bound} ${seconds}`);
  }
  assert.match(front, /limit_conn\s/);
  await cutDrippingBody();
  await bearHalfHeads();
  await letSlowReaderGo();
  if (NGINX !== null) await attackFront();
});

/** A body that drips is cut by the gateway itself: what counts is the whole, not each piece. */
async function cutDrippingBody(): Promise<void> {
  assert.ok(BODY_READ_MS_MAX <= 30_000);
  let now = 0;
  const deadlines = new Deadlines(() => now);
  const refused = Promise.withResolvers<void>();
  const server = await listen(async (request) => {
    const read = readJsonBody(request, { options: { bodyBytesMax: 1024 }, deadlines });
    await assert.rejects(read, (error) => {
      assert.ok(error instanceof ApiError);
      return error.status === 408 && error.code === "request_timeout";
    }).then(refused.resolve, refused.reject);
    return new Reply(null, { status: 408 });
  });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await say(client, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n");
  await say(client, "Content-Type: application/json\r\n\r\n");
  let drips = 0;
  const timer = setInterval(() => {
    now += BODY_READ_MS_MAX / 10;
    ++drips;
    say(client, "x").catch(() => {});
  }, 20);
  await refused.promise;
  clearInterval(timer);
  client.close();
  await server.close(0);
  assert.ok(drips >= 9, `${drips} drips`);
  now = Infinity;
  deadlines.close();
}

/** Two hundred that hold on to a half-sent head keep nobody else out. */
async function bearHalfHeads(): Promise<void> {
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
}

/** One slot, and readers who take nothing: they hold it for a while, not for the half hour that a
 * generation may last. */
async function letSlowReaderGo(): Promise<void> {
  await withGateway(async ({ chat, gateway, node, log }) => {
    const { services } = gateway;
    assert.ok(services.options.readerMsMax <= 60_000);
    Object.assign(services.options, { keepAliveMs: 50, readerMsMax: 500 });
    const plain = node.script;
    node.script = ENDLESS;
    const first = await openUnread("127.0.0.1", gateway.port);
    await waitUntil(() => node.streams.size === 1, "it has the slot");
    const second = await openUnread("127.0.0.1", gateway.port);
    let third: Deno.TcpConn | undefined;
    try {
      await waitUntil(() => node.cancels.length === 2, "both are let go");
      node.script = plain;
      assert.equal(await statusOf(await chat()), 200);
      assert.equal(services.activeCount, 0);
      assert.match(log.lines.join("\n"), /"code":"reader_too_slow"/);
      // What it reads at last is no whole answer.
      const text = await new Response(first.readable).text().catch(() => "");
      assert.doesNotMatch(text, /\[DONE\]|"finish_reason":"/);
      // Nor do they keep a gateway from ending in time.
      Object.assign(services.options, { readerMsMax: 60_000 });
      node.script = ENDLESS;
      third = await openUnread("127.0.0.1", gateway.port);
      const stream = () => [...node.streams.values()][0];
      await waitUntil(() => (stream()?.sent ?? 0) > 3000, "its buffers fill");
      let isClosed = false;
      gateway.drain().then(() => isClosed = true);
      await waitUntil(() => isClosed, "the gateway ends");
    } finally {
      second.close();
      third?.close();
      try {
        first.close();
      } catch {
        // Read to its end.
      }
    }
  }, {
    nodes: [{ slotsMax: 1, queueMax: 0, contextMax: ENDLESS_CONTEXT }],
    args: ["--drain-deadline-s", "0"],
  });
}

/** All kinds of slowness at once against what is shipped, while others are served. */
async function attackFront(): Promise<void> {
  await withGateway(async ({ url: gatewayUrl, gateway, node }) => {
    const plain = node.script;
    node.script = (stream) => stream.submit.sampling.logprobs > 0 ? ENDLESS(stream) : plain(stream);
    await withShippedFront(gatewayUrl, "2s", async ({ hostname, port, url }) => {
      // Readers who take nothing hold all but one of the slots, until the front lets them go.
      const readers = await Promise.all(
        Array.from({ length: 7 }, () => openUnread(hostname, port)),
      );
      let isOver = false;
      const waits: number[] = [];
      const serve = async () => {
        while (!isOver) {
          const startedAt = performance.now();
          const init = { method: "POST", headers: { "content-type": "application/json" } };
          const body = JSON.stringify(chatBody({ seed: waits.length }));
          const response = await fetch(`${url}/v1/chat/completions`, { ...init, body });
          assert.equal(await statusOf(response), 200);
          waits.push(performance.now() - startedAt);
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      };
      const serving = serve();
      await Promise.all([slowHttpAll(url), waitUntil(() => node.streams.size >= 7, "slots held")]);
      isOver = true;
      await serving;
      assert.ok(waits.length >= 30, `${waits.length} others were served`);
      assert.ok(Math.max(...waits) < 5000, `${Math.max(...waits)} ms`);
      await waitUntil(() => gateway.services.activeCount === 0, "nobody's stream is left");
      assert.ok(node.cancels.length >= 7, "the slots were given back");
      // Of bodies that never came whole the gateway has not heard.
      assert.equal(node.submits.length, 7 + waits.length);
      for (const reader of readers) reader.close();
    });
  }, { nodes: [{ slotsMax: 8, queueMax: 8, contextMax: ENDLESS_CONTEXT }] });
}

const SLOW_CONNECTIONS = 100;
/** Longer than the front bears a head, and a body. */
const SLOW_SECONDS = 16;

async function slowHttpAll(url: string): Promise<void> {
  if (SLOWHTTPTEST === null) return await new Promise((resolve) => setTimeout(resolve, 10_000));
  const modes: Record<string, [flags: string[], path: string]> = {
    heads: [["-H", "-i", "2"], "/healthz"],
    bodies: [["-B", "-i", "20", "-t", "POST"], "/v1/chat/completions"],
    reads: [["-X", "-w", "16", "-y", "32", "-n", "10", "-z", "16", "-k", "3"], "/openapi.json"],
    ranges: [["-R"], "/"],
  };
  await Promise.all(
    Object.entries(modes).map(async ([name, [flags, path]]) => {
      const outcome = await slowHttp(flags, url + path, SLOW_CONNECTIONS, SLOW_SECONDS);
      const told = `${name}: ${JSON.stringify(outcome)}`;
      assert.equal(outcome.secondsAway, 0, told);
      // Answers that wait in the kernel's buffers hold nothing of ours.
      if (name !== "reads") assert.ok(outcome.heldAtEnd <= SLOW_CONNECTIONS / 10, told);
      if (name === "heads" || name === "bodies") assert.ok(outcome.heldMost >= 90, told);
    }),
  );
}

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
