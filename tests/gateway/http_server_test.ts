/** The listener alone: connections, bodies, protocols. */
import assert from "node:assert/strict";
import { Reply } from "../../gateway/reply.ts";
import { hear, listen, say } from "../support/raw_client.ts";

const BODY_BYTES_MAX = 1 << 20;

/** `/read` counts a body's bytes, all else refuses without reading any. */
async function withServer(act: (port: number) => Promise<void>, host = "127.0.0.1"): Promise<void> {
  const server = await listen(async (request) => {
    if (!request.url.endsWith("/read")) return Reply.json({}, { status: 401 });
    return Reply.json({ bytes: (await request.readBytes(BODY_BYTES_MAX)).byteLength });
  }, { host });
  try {
    await act(server.port);
  } finally {
    const startedAt = performance.now();
    await server.close(5000);
    assert.ok(performance.now() - startedAt < 1000, "nobody is waited for who asks nothing");
  }
}

/** @param head Without its last lines. */
async function ask(connection: Deno.Conn, head: string, body = ""): Promise<void> {
  await say(connection, `${head}\r\nHost: localhost\r\n\r\n${body}`);
}

for (const bytes of [10, 3000, 30_000]) {
  Deno.test(`a refused body of ${bytes} bytes is not in the next request's way`, async () => {
    await withServer(async (port) => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      const post = (path: string) => `POST ${path} HTTP/1.1\r\nContent-Length: ${bytes}`;
      await ask(connection, post("/"), "x".repeat(bytes));
      const refused = await hear(connection);
      assert.match(refused, /^HTTP\/1.1 401 /);
      if (!/connection: close/i.test(refused)) {
        await ask(connection, post("/read"), "x".repeat(bytes));
        assert.match(await hear(connection), new RegExp(`{"bytes":${bytes}}$`));
      }
      connection.close();
    });
  });
}

Deno.test("who goes on sending what was refused gets the answer, then is cut", async () => {
  await withServer(async (port) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await ask(connection, "POST / HTTP/1.1\r\nContent-Length: 1000000000000", "x");
    assert.match(await hear(connection), /^HTTP\/1.1 401 [^]*connection: close/i);
    const startedAt = performance.now();
    const passed = () => performance.now() - startedAt;
    await assert.rejects(async () => {
      while (passed() < 5000) await connection.write(new Uint8Array(1000));
    });
    assert.ok(passed() > 500, "a client that only writes has time to see the answer");
    connection.close();
  });
});

Deno.test("HTTP/1.0, a client that asks before it sends, one that offers HTTP/2", async () => {
  await withServer(async (port) => {
    const heads = [
      ["POST /read HTTP/1.0\r\nContent-Length: 2", /^HTTP\/1.1 200 [^]*{"bytes":2}$/],
      ["POST /read HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue", /^HTTP\/1.1 100 /],
      [
        "POST /read HTTP/1.1\r\nContent-Length: 2\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        /^HTTP\/1.1 200 [^]*{"bytes":2}$/,
      ],
    ] as const;
    for (const [head, answer] of heads) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await ask(connection, head, "{}");
      assert.match(await hear(connection), answer);
      connection.close();
    }
  });
});

Deno.test("an address is taken with brackets too", async () => {
  await withServer(async (port) => {
    const response = await fetch(`http://[::1]:${port}/`);
    assert.equal(response.status, 401);
    await response.body?.cancel();
  }, "[::1]");
});

Deno.test("a header that cannot be written is a fault that ends its stream", async () => {
  const faults: unknown[] = [];
  let cancelled = 0;
  const body = { open: () => {}, cancel: () => void ++cancelled };
  const server = await listen(
    () => new Reply(body, { headers: { "x-name": "\u20ac" } }),
    { onFault: (error) => faults.push(error) },
  );
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  await ask(connection, "GET / HTTP/1.1");
  assert.equal(await hear(connection).catch(() => ""), "");
  assert.equal(faults.length, 1);
  assert.ok(cancelled >= 1);
  connection.close();
  await server.close(0);
});
