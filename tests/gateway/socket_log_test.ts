/** What is told, counted and logged of a WebSocket's messages, as it is of HTTP's requests. */
import assert from "node:assert/strict";
import { IN_FLIGHT_MAX } from "../../gateway/generate_socket.ts";
import { waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { SocketClient } from "../support/socket_client.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";

Deno.test("the handshake's trace goes on with each of its generations", async () => {
  await withGateway(async ({ url, node, log }) => {
    const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;
    const client = await SocketClient.open(url, { headers: { traceparent } });
    client.create({ seed: 1 });
    client.create({ seed: 2 });
    const ended = () => client.events.filter(({ type }) => type === "response.completed");
    await waitUntil(() => ended().length === 2, "both ended");
    assert.deepEqual(node.submits.map((submit) => submit.traceparent), [traceparent, traceparent]);
    const lines = log.lines.map((line) => JSON.parse(line));
    const own = lines.filter(({ route, status }) => route === "/v1/generate" && status === 200);
    assert.deepEqual(own.map(({ trace_id }) => trace_id), [TRACE, TRACE]);
  });
});

Deno.test("messages that are refused are counted and logged", async () => {
  await withGateway(async ({ url, gateway, log }) => {
    const client = await SocketClient.open(url);
    const messages = ["{", "[]", { type: "response.fly" }, { type: "response.create", more: 1 }];
    for (const message of messages) client.send(message);
    client.create({ model: "other" });
    await waitUntil(() => client.events.length === 5, "five errors");
    const counted = (status: number) =>
      gateway.services.metrics.text().match(
        new RegExp(`requests_total{route="/v1/generate",status="${status}"} (\\d+)`),
      )?.[1];
    assert.deepEqual([counted(400), counted(404)], ["4", "1"]);
    const codes = log.lines.map((line) => JSON.parse(line).code).filter(Boolean);
    assert.deepEqual(codes, [
      "invalid_json",
      "invalid_type",
      "invalid_value",
      "unknown_parameter",
      "model_not_found",
    ]);
    assert.equal(gateway.services.activeCount, 0);
  });
});

Deno.test("an event of what may pass later says when to come back", async () => {
  await withGateway(async ({ url, node }) => {
    node.script = () => {};
    const client = await SocketClient.open(url);
    client.send("{");
    assert.equal((await client.event("error")).retry_after_ms, undefined);
    client.events.length = 0;
    for (let i = 0; i <= IN_FLIGHT_MAX; ++i) client.create({ seed: i });
    assert.equal((await client.event("error")).retry_after_ms, 1000);
  }, { nodes: [{ slotsMax: 100 }] });
  // What waits for a node has begun: it fails.
  await withGateway(async ({ url, node }) => {
    node.script = () => {};
    const client = await SocketClient.open(url);
    for (let i = 0; i < 9; ++i) client.create({ seed: i });
    const failed = await client.event("response.failed");
    assert.equal(failed.response.error.code, "queue_full");
    assert.ok(failed.retry_after_ms >= 1000);
  }, { nodes: [{ slotsMax: 1 }], args: ["--queue-max", "1"] });
});
