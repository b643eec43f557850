/** A WebSocket and its key: what it may do follows the key, for as long as the key is there. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { KeyRing } from "../../gateway/auth.ts";
import { readConfig } from "../../gateway/config.ts";
import { SOCKETS_BY_KEY_MAX } from "../../gateway/socket_slots.ts";
import { type FixtureOptions, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { SocketClient } from "../support/socket_client.ts";

const keyOf = (tenant: string) => `sk-${tenant}-0123456789`;
const as = (tenant: string) => ({ headers: { authorization: `Bearer ${keyOf(tenant)}` } });

function keysOf(limits: Record<string, Record<string, unknown>>) {
  const keys = Object.entries(limits).map(([tenant, more]) => ({
    tenant,
    sha256: createHash("sha256").update(keyOf(tenant)).digest("hex"),
    ...more,
  }));
  return readConfig(JSON.stringify({ keys }), new Map()).keys;
}

const withKeys = (limits: Record<string, Record<string, unknown>>): FixtureOptions => ({
  adjust: (options) => options.keys = keysOf(limits),
});

Deno.test("a key that is removed closes its sockets and ends what runs on them", async () => {
  await withGateway(async ({ url, node, gateway }) => {
    node.script = (stream) => stream.text("on and on");
    const [gone, kept] = [
      await SocketClient.open(url, as("a")),
      await SocketClient.open(url, as("b")),
    ];
    for (const client of [gone, kept]) {
      client.create({ seed: 1 });
      await client.event("response.output_text.delta");
    }
    gateway.setKeys(new KeyRing(keysOf({ b: {} })));
    await waitUntil(() => gone.closed !== undefined, "closed");
    assert.equal(gone.closed!.code, 1008);
    await waitUntil(() => node.streams.size === 1, "its generation ended");
    kept.create({ seed: 2 });
    await waitUntil(() => node.streams.size === 2, "the other goes on");
    assert.equal(kept.closed, undefined);
  }, withKeys({ a: {}, b: {} }));
});

Deno.test("a socket's next generation has what its key may do by then", async () => {
  await withGateway(async ({ url, node, gateway }) => {
    const headers = { ...as("a").headers, "x-smg-target-worker": "0" };
    const client = await SocketClient.open(url, { headers });
    const code = async (more = {}) => {
      client.events.length = 0;
      client.create(more);
      return (await client.event("error")).error.code;
    };
    gateway.setKeys(new KeyRing(keysOf({ a: { models: ["other"] } })));
    assert.equal(await code(), "model_not_allowed");
    gateway.setKeys(new KeyRing(keysOf({ a: { tokens_per_minute: 20 } })));
    assert.equal(await code({ max_tokens: 100 }), "rate_limit_exceeded");
    gateway.setKeys(new KeyRing(keysOf({ a: { priority: 7 } })));
    client.events.length = 0;
    client.create();
    await client.event("response.completed");
    assert.equal(node.submits.at(-1)!.priority, 7);
  }, withKeys({ a: { may_pick_node: true } }));
});

Deno.test("who came before there were keys goes once there are", async () => {
  await withGateway(async ({ url, gateway }) => {
    const client = await SocketClient.open(url);
    gateway.setKeys(new KeyRing(keysOf({ a: {} })));
    await waitUntil(() => client.closed !== undefined, "closed");
    assert.equal(client.closed!.code, 1008);
  });
});

/** The answer to a handshake, which asks for an upgrade as raw bytes: `fetch()` cannot. */
async function shake(
  port: number,
  tenant: string,
  isWhole = true,
): Promise<{ conn: Deno.Conn; head: string }> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const lines = [
    "GET /v1/generate HTTP/1.1",
    "host: localhost",
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    ...(isWhole ? ["sec-websocket-key: cmVkcmFmdC1oYW5kc2hhaw=="] : []),
    `authorization: Bearer ${keyOf(tenant)}`,
  ];
  await conn.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const bytes = new Uint8Array(4096);
  const count = await conn.read(bytes);
  return { conn, head: new TextDecoder().decode(bytes.subarray(0, count!)) };
}

Deno.test("a key's sockets are bounded, however many knock at once", async () => {
  await withGateway(async ({ gateway }) => {
    const { socketSlots } = gateway.services;
    for (const [tenant, most] of [["a", SOCKETS_BY_KEY_MAX], ["b", 2]] as const) {
      const before = socketSlots.count;
      const all = await Promise.all(
        Array.from({ length: most + 3 }, () => shake(gateway.port, tenant)),
      );
      const refused = all.filter(({ head }) => head.startsWith("HTTP/1.1 429"));
      assert.equal(refused.length, 3);
      assert.match(refused[0]!.head, /retry-after: 1/);
      assert.equal(socketSlots.count - before, most);
      for (const { conn } of all) conn.close();
      await waitUntil(() => socketSlots.count === before, "slots are back");
    }
    const none = await shake(gateway.port, "c");
    assert.match(none.head, /^HTTP\/1.1 429/);
    none.conn.close();
  }, withKeys({ a: {}, b: { sockets_max: 2 }, c: { sockets_max: 0 } }));
});

Deno.test("who does not answer a close frame keeps its slot until it is gone", async () => {
  await withGateway(async ({ gateway }) => {
    const { sockets, socketSlots } = gateway.services;
    const first = await shake(gateway.port, "a");
    await waitUntil(() => sockets.size === 1, "open");
    // One binary byte, which is answered by a close.
    await first.conn.write(Uint8Array.of(0x82, 0x81, 0, 0, 0, 0, 1));
    await waitUntil(() => sockets.size === 0, "closed by us");
    const second = await shake(gateway.port, "a");
    assert.match(second.head, /^HTTP\/1.1 429/);
    second.conn.close();
    first.conn.close();
    await waitUntil(() => socketSlots.count === 0, "gone");
    const third = await shake(gateway.port, "a");
    assert.match(third.head, /^HTTP\/1.1 101/);
    third.conn.close();
  }, withKeys({ a: { sockets_max: 1 } }));
});

Deno.test("a handshake that lacks its headers is a 400, and holds no slot", async () => {
  await withGateway(async ({ gateway }) => {
    const { conn, head } = await shake(gateway.port, "a", false);
    assert.match(head, /^HTTP\/1.1 400/);
    conn.close();
    assert.equal(gateway.services.socketSlots.count, 0);
    assert.match(gateway.services.metrics.text(), /^redraft_gateway_faults_total 0$/m);
  }, withKeys({ a: {} }));
});
