import assert from "node:assert/strict";
import { statusOf, waitUntil, withGateway } from "../support/scripted_gateway.ts";

const TWO = { nodes: [{}, {}] };

Deno.test("a node that dies before the first token is replaced unseen", async () => {
  await withGateway(async ({ chat, nodes }) => {
    let first = true;
    for (const node of nodes) {
      const greeting = node.script;
      node.script = (stream) => {
        if (first) {
          first = false;
          node.dropConnection();
        } else greeting(stream);
      };
    }
    const response = await chat();
    assert.equal(response.headers.get("x-redraft-retry-count"), "1");
    assert.equal((await response.json()).choices[0].message.content, "Hello, world!");
  }, TWO);
});

Deno.test("a node's refusal is retried elsewhere if it is safe, else told", async () => {
  await withGateway(async ({ chat, nodes }) => {
    for (const node of nodes) node.script = (stream) => stream.fail("queue_full", true);
    const full = await chat();
    assert.equal(full.status, 429);
    assert.equal(full.headers.get("retry-after"), "1");
    assert.equal((await full.json()).error.code, "queue_full");
    assert.deepEqual(nodes.map((node) => node.submits.length), [1, 1]);
    for (const node of nodes) node.script = (stream) => stream.fail("engine", false);
    assert.equal(await statusOf(await chat()), 502);
    assert.equal(nodes[0]!.submits.length + nodes[1]!.submits.length, 3);
  }, TWO);
});

for (
  const [failure, status, code] of [
    ["bad_request", 400, "invalid_value"],
    ["context_overflow", 400, "context_length_exceeded"],
    ["draining", 503, "draining"],
    ["deadline", 504, "request_timeout"],
    ["internal", 502, "upstream_error"],
  ] as const
) {
  Deno.test(`a node's failure "${failure}" is a ${status}`, async () => {
    await withGateway(async ({ chat, node }) => {
      node.script = (stream) => stream.fail(failure, false);
      const response = await chat({ stream: true });
      assert.equal(response.status, status);
      assert.equal((await response.json()).error.code, code);
    });
  });
}

Deno.test("a gap in a node's tokens is an error, never a shorter answer", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = (stream) => {
      stream.text("one");
      stream.sent += 2;
      stream.text("two");
      stream.finish();
    };
    assert.equal(await statusOf(await chat()), 502);
    node.script = (stream) => {
      stream.text("one");
      stream.finish("length", { generatedCount: 9 });
    };
    assert.equal(await statusOf(await chat()), 502);
  });
});

Deno.test("a node that comes back is used again; meanwhile there is a 503", async () => {
  await withGateway(async ({ chat, gateway, node, url }) => {
    node.dropConnection();
    await waitUntil(() => gateway.services.pool.readyCount === 0, "node down");
    const response = await chat();
    assert.equal(response.status, 503);
    assert.equal((await response.json()).error.code, "no_healthy_node");
    const ready = await fetch(`${url}/readyz`);
    assert.equal(ready.status, 503);
    await ready.body?.cancel();
    await waitUntil(() => gateway.services.pool.readyCount === 1, "node back");
    const again = await chat();
    assert.equal(again.status, 200);
    await again.body?.cancel();
  });
});

Deno.test("a node that drains gets no new work", async () => {
  await withGateway(async ({ chat, nodes, gateway }) => {
    nodes[0]!.send({ kind: "drain", deadlineMs: 1000 });
    await waitUntil(() => gateway.services.pool.readyCount === 1, "drain seen");
    for (let i = 0; i < 4; ++i) await (await chat()).body?.cancel();
    assert.equal(nodes[0]!.submits.length, 0);
  }, TWO);
});

Deno.test("a node with another file under a name in use is kept out", async () => {
  await withGateway(async ({ gateway, log }) => {
    await waitUntil(() => log.lines.some((line) => line.includes("another file")), "refused");
    assert.equal(gateway.services.pool.readyCount, 1);
    assert.match(log.lines.join(), /another file than the other nodes/);
  }, {
    nodes: [{ modelDigest: "ab".repeat(32) }, { modelDigest: "cd".repeat(32) }],
    readyCount: 1,
  });
});

Deno.test("a node's token is sent with the upgrade", async () => {
  await withGateway(async ({ node, chat }) => {
    assert.deepEqual(node.authorizations, ["Bearer sesame"]);
    await (await chat()).body?.cancel();
  }, { nodes: [{ token: "sesame" }], env: { REDRAFT_NODE_TOKEN: "sesame" } });
});

Deno.test("drain: readiness says no, streams finish, new work is refused", async () => {
  await withGateway(async ({ gateway, chat, node, url }) => {
    node.script = (stream) => stream.text("one ");
    const response = await chat({ stream: true });
    const drained = gateway.drain();
    const ready = await fetch(`${url}/readyz`);
    assert.equal(ready.status, 503);
    assert.equal((await ready.json()).status, "draining");
    await waitUntil(() => gateway.services.closing, "closing");
    const refused = await chat();
    assert.equal(refused.status, 503);
    assert.equal((await refused.json()).error.code, "draining");
    const [stream] = node.streams.values();
    stream!.text("two");
    stream!.finish();
    assert.match(await response.text(), /one .*two.*\[DONE\]/s);
    await drained;
  });
});
