/** What clients do with their connections, and what is left of it: nothing. */
import assert from "node:assert/strict";
import { hear, say } from "../support/raw_client.ts";
import { chatBody, type Fixture, waitUntil, withGateway } from "../support/scripted_gateway.ts";

async function connect({ gateway }: Fixture): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
}

function chatRequest(more: Record<string, unknown> = {}): string {
  const body = JSON.stringify(chatBody(more));
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" +
    `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const SHAKE = "Host: localhost\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
  "Sec-WebSocket-Key: cmVkcmFmdC1oYW5kc2hhaw==\r\n";
const UPGRADE = `${SHAKE}Connection: Upgrade\r\n\r\n`;

Deno.test("what only looks like a handshake holds no slot", async () => {
  await withGateway(async (fixture) => {
    for (
      const head of [
        `GET /v1/generate HTTP/1.1\r\n${SHAKE}\r\n`,
        `HEAD /v1/generate HTTP/1.1\r\n${UPGRADE}`,
      ]
    ) {
      const client = await connect(fixture);
      await say(client, head);
      assert.match(await hear(client), /^HTTP\/1.1 426 /);
      client.close();
    }
    assert.equal(fixture.gateway.services.socketSlots.count, 0);
  });
});

for (const stream of [false, true]) {
  Deno.test(`who leaves with requests in a row leaves nothing, stream ${stream}`, async () => {
    await withGateway(async (fixture) => {
      fixture.node.script = (given) => void (stream && given.text("one "));
      const client = await connect(fixture);
      await say(client, [1, 2, 3].map((seed) => chatRequest({ seed, stream })).join(""));
      await waitUntil(() => fixture.node.streams.size === 3, "all three");
      client.close();
      const { services } = fixture.gateway;
      await waitUntil(() => services.activeCount === 0, "ended");
      await waitUntil(() => fixture.node.streams.size === 0, "cancelled");
    });
  });
}

Deno.test("a drain waits for nobody who asks nothing", async () => {
  await withGateway(async (fixture) => {
    const clients = await Promise.all([1, 2, 3].map(() => connect(fixture)));
    await say(clients[1]!, "GET /healthz HT");
    await say(clients[2]!, `GET /healthz HTTP/1.1\r\n${UPGRADE}`);
    assert.match(await hear(clients[2]!), /^HTTP\/1.1 200 /);
    const startedAt = performance.now();
    await fixture.gateway.drain();
    assert.ok(performance.now() - startedAt < 1500);
    for (const client of clients) client.close();
  });
});

Deno.test("who was refused an upgrade is let go", async () => {
  await withGateway(async (fixture) => {
    const client = await connect(fixture);
    await say(client, `GET /nope HTTP/1.1\r\n${UPGRADE}`);
    assert.match(await hear(client), /^HTTP\/1.1 404 [^]*connection: close/i);
    const startedAt = performance.now();
    await assert.rejects(async () => {
      while (performance.now() - startedAt < 5000) await say(client, "x".repeat(1000));
    });
    client.close();
  });
});

Deno.test("a handshake behind a request that waits ends the connection, and both", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = () => {};
    for (const path of ["/v1/generate", "/healthz"]) {
      const client = await connect(fixture);
      await say(client, `${chatRequest()}GET ${path} HTTP/1.1\r\n${UPGRADE}`);
      assert.equal(await hear(client).catch(() => ""), "");
      client.close();
      const { services } = fixture.gateway;
      await waitUntil(
        () => services.activeCount === 0 && services.socketSlots.count === 0,
        "ended",
      );
    }
  });
});

Deno.test("who never reads the end of an answer is cut", async () => {
  await withGateway(async (fixture) => {
    fixture.gateway.services.options.readerMsMax = 200;
    const client = await connect(fixture);
    const many = "GET /playground.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    await say(client, many);
    const startedAt = performance.now();
    await assert.rejects(async () => {
      while (performance.now() - startedAt < 10_000) {
        await say(client, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    });
    client.close();
  });
});

Deno.test("HEAD has the headers of GET, and no body", async () => {
  await withGateway(async ({ url }) => {
    const [head, get] = await Promise.all(
      ["HEAD", "GET"].map((method) => fetch(`${url}/healthz`, { method })),
    );
    assert.equal(await head!.text(), "");
    const names = (response: Response) => [...response.headers.keys()];
    assert.deepEqual(names(head!), names(get!));
    assert.equal(head!.headers.get("content-length"), String((await get!.text()).length));
  });
});

Deno.test("what must be one is refused twice; what is no request gets an error", async () => {
  await withGateway(async (fixture) => {
    const cases: Array<[request: string, status: number, code: string]> = [
      [
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n",
        400,
        "repeated_header",
      ],
      ["GET /healthz\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "invalid_request"],
      [
        `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`,
        431,
        "headers_too_large",
      ],
      [
        `GET /v1/generate HTTP/1.1\r\nSec-WebSocket-Protocol: a, a\r\n${UPGRADE}`,
        400,
        "invalid_upgrade",
      ],
      [
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
        "Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n",
        413,
        "request_too_large",
      ],
    ];
    for (const [request, status, code] of cases) {
      const client = await connect(fixture);
      await say(client, request);
      const answer = await hear(client);
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), request.slice(0, 100));
      assert.equal(JSON.parse(answer.split("\r\n\r\n")[1]!).error.code, code);
      client.close();
    }
  });
});
