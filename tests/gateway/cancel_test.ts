import assert from "node:assert/strict";
import { say } from "../support/raw_client.ts";
import { chatBody, type Fixture, waitUntil, withGateway } from "../support/scripted_gateway.ts";

/** Nothing is left of any request, on either side. */
async function expectIdle({ gateway, nodes }: Fixture): Promise<void> {
  await waitUntil(() => nodes.every((node) => node.streams.size === 0), "node streams gone");
  const { services } = gateway;
  await waitUntil(() => services.activeCount === 0, "requests ended");
  await waitUntil(() => services.pool.links.every((l) => l.streamCount === 0), "links idle");
}

function abortable({ url }: Fixture, body: Record<string, unknown>) {
  const controller = new AbortController();
  const response = fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(chatBody(body)),
    signal: controller.signal,
  });
  return { controller, response };
}

for (const stream of [false, true]) {
  // The node has said nothing of it yet: it is queued, or in its context phase.
  Deno.test(`a client that leaves before the first token cancels, stream ${stream}`, async () => {
    await withGateway(async (fixture) => {
      fixture.node.script = () => {};
      const { controller, response } = abortable(fixture, { stream });
      await waitUntil(() => fixture.node.streams.size === 1, "submitted");
      const leftAt = performance.now();
      controller.abort();
      await assert.rejects(response);
      await expectIdle(fixture);
      assert.ok(performance.now() - leftAt < 2000);
      assert.equal(fixture.node.cancels.length, 1);
      assert.match(fixture.log.lines.join(), /client_closed_request/);
    });
  });
}

/** Sends a request as these pieces, each a packet of its own. */
async function sendInPieces({ gateway }: Fixture, pieces: readonly string[]): Promise<Deno.Conn> {
  const client = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
  client.setNoDelay(true);
  for (const piece of pieces) {
    await say(client, piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return client;
}

const LONG = "a".repeat(3000);
for (const [name, content] of [["short", "Hi"], ["long", LONG]] as const) {
  for (const stream of [false, true]) {
    for (const isSplit of [false, true]) {
      const how = `${name} body, stream ${stream}, ${isSplit ? "in pieces" : "at once"}`;
      Deno.test(`a client that leaves is noticed: ${how}`, async () => {
        await withGateway(async (fixture) => {
          fixture.node.script = () => {};
          const body = JSON.stringify(chatBody({ stream, messages: [{ role: "user", content }] }));
          const head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n" +
            `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
          const pieces = isSplit ? [head, body.slice(0, 9), body.slice(9)] : [head + body];
          const client = await sendInPieces(fixture, pieces);
          await waitUntil(() => fixture.node.streams.size === 1, "submitted");
          const leftAt = performance.now();
          client.close();
          await expectIdle(fixture);
          assert.ok(performance.now() - leftAt < 2000);
          assert.match(fixture.log.lines.join(), /client_closed_request/);
        });
      });
    }
  }
}

Deno.test("who leaves the queue is never sent to a node", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = () => {};
    const messages = [{ role: "user", content: LONG }];
    const first = abortable(fixture, { messages });
    await waitUntil(() => fixture.node.streams.size === 1, "submitted");
    const others = Array.from({ length: 5 }, () => abortable(fixture, { messages }));
    const { dispatcher } = fixture.gateway.services;
    await waitUntil(() => dispatcher.waitingCount === 5, "queued");
    for (const { controller } of others) controller.abort();
    await Promise.all(others.map(({ response }) => assert.rejects(response)));
    await waitUntil(() => dispatcher.waitingCount === 0, "left the queue");
    first.controller.abort();
    await assert.rejects(first.response);
    await expectIdle(fixture);
    assert.equal(fixture.node.submits.length, 1);
  }, { nodes: [{ slotsMax: 1, queueMax: 0 }] });
});

Deno.test("a client that leaves in the middle of a stream cancels", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => stream.text("one");
    const { controller, response } = abortable(fixture, { stream: true });
    const reader = (await response).body!.getReader();
    await reader.read();
    controller.abort();
    await expectIdle(fixture);
    assert.equal(fixture.node.cancels.length, 1);
  });
});

Deno.test("a client that leaves in the middle of a whole answer cancels", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => stream.text("one");
    const { controller, response } = abortable(fixture, { stream: false });
    await waitUntil(() => fixture.node.streams.get(1)?.sent === 3, "tokens sent");
    controller.abort();
    await assert.rejects(response);
    await expectIdle(fixture);
    assert.equal(fixture.node.cancels.length, 1);
  });
});

Deno.test("an answer that was read to its end cancels nothing", async () => {
  await withGateway(async (fixture) => {
    for (const stream of [false, true]) await (await fixture.chat({ stream })).text();
    await expectIdle(fixture);
    assert.equal(fixture.node.cancels.length, 0);
  });
});

Deno.test("of two clients who share a generation, one may leave", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = (stream) => stream.text("one ");
    const body = { stream: true, temperature: 0 };
    const first = abortable(fixture, body);
    await first.response;
    const second = await fixture.chat(body);
    assert.equal(second.headers.get("x-redraft-cache"), "COALESCED");
    first.controller.abort();
    await waitUntil(() => fixture.gateway.services.activeCount === 1, "first ended");
    const [stream] = fixture.node.streams.values();
    stream!.text("two");
    stream!.finish();
    assert.match(await second.text(), /one .*two.*\[DONE\]/s);
    assert.equal(fixture.node.submits.length, 1);
    assert.equal(fixture.node.cancels.length, 0);
    await expectIdle(fixture);
  });
});

Deno.test("100 clients that leave at random leave nothing behind", async () => {
  await withGateway(async (fixture) => {
    fixture.node.script = async (stream) => {
      for (let i = 0; i < 20 && !stream.cancelled; ++i) {
        stream.text("token ");
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      if (!stream.cancelled) stream.finish("length");
    };
    const clients = Array.from({ length: 100 }, async (_, i) => {
      const { controller, response } = abortable(fixture, { stream: i % 2 === 0 });
      setTimeout(() => controller.abort(), (i * 7) % 60);
      await response.then((r) => r.text()).catch(() => {});
    });
    await Promise.all(clients);
    await expectIdle(fixture);
    const answer = await (await fixture.chat()).json();
    assert.equal(answer.choices[0].message.content, "token ".repeat(20));
  }, { nodes: [{ slotsMax: 128 }] });
});
