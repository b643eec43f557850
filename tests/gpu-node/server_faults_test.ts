import assert from "node:assert/strict";
import { FakeEngine } from "../../gpu-node/engine_fake.ts";
import { startStepEngine } from "../../gpu-node/engine_step.ts";
import { NodeServer } from "../../gpu-node/server.ts";
import { encodeFrame } from "../../proto/frame.ts";
import { LIMITS } from "../../proto/limits.ts";
import { NodeClient } from "../support/node_client.ts";
import { submit, withNode } from "./fake_node.ts";
import { promptTokens } from "./requests.ts";

Deno.test("the upgrade is refused", async (t) => {
  await withNode(
    async ({ port }) => {
      await t.step(
        "with an Origin",
        () =>
          assert.rejects(
            NodeClient.dial(port, { token: "s3", headers: { origin: "http://evil" } }),
          ),
      );
      await t.step("without the token", () => assert.rejects(NodeClient.dial(port)));
      await t.step(
        "with another token",
        () => assert.rejects(NodeClient.dial(port, { token: "s4" })),
      );
      await t.step(
        "with another subprotocol",
        () => assert.rejects(NodeClient.dial(port, { token: "s3", protocol: "redraft.v0" })),
      );
      await t.step("and allowed with the token", async () => {
        const client = await NodeClient.connect(port, { token: "s3" });
        await client.close();
      });
    },
    {},
    { token: "s3" },
  );
});

Deno.test("a bad beginning closes the socket", async (t) => {
  await withNode(
    async ({ port }) => {
      await t.step("wrong version", async () => {
        const client = await NodeClient.dial(port);
        client.send({ kind: "hello", protocolVersion: 2, gatewayId: "" });
        assert.equal((await client.failure(0)).code, "version");
        assert.equal(await client.closed, 1002);
      });
      await t.step("no Hello first", async () => {
        const client = await NodeClient.dial(port);
        client.send(submit());
        assert.match((await client.failure(0)).message, /submit, not hello/);
        assert.equal(await client.closed, 1002);
      });
      await t.step("no Hello at all", async () => {
        const client = await NodeClient.dial(port);
        assert.equal(await client.closed, 1008);
      });
    },
    {},
    { times: { helloMs: 50, pingMs: 1000 } },
  );
});

Deno.test("a bad frame costs no more than it names", async (t) => {
  await withNode(async ({ port }) => {
    const client = await NodeClient.connect(port);
    const other = client.run(submit({ streamId: 1 }));
    await t.step("an unknown kind", async () => {
      client.sendBytes(Uint8Array.of(0x6a, 0));
      const failure = await client.failure(0);
      assert.equal(failure.code, "unknown_frame");
      assert.match(failure.message, /13/);
    });
    await t.step("a bad field fails its stream", async () => {
      // submit { stream_id: 9, tokens: [5], tokens_max: 1, sampling { temperature: NaN } }
      const nan = [0x2a, 5, 0x0d, 0, 0, 0xc0, 0x7f];
      client.sendBytes(Uint8Array.of(0x1a, 14, 0x08, 9, 0x12, 1, 5, 0x20, 1, ...nan));
      const failure = await client.failure(9);
      assert.equal(failure.code, "bad_request");
      assert.match(failure.message, /temperature/);
    });
    await t.step("a token outside the vocabulary", async () => {
      const { end } = await client.run(submit({ streamId: 10, tokens: Uint32Array.of(997) }));
      assert(end.kind === "failure" && end.code === "bad_request");
    });
    await t.step("a prompt past the context", async () => {
      const tokens = promptTokens(1024, 1);
      const { end } = await client.run(submit({ streamId: 11, tokens }));
      assert(end.kind === "failure" && end.code === "context_overflow");
    });
    await t.step("unknown streams are ignored", () => {
      client.send({ kind: "cancel", streamId: 99 });
      client.send({ kind: "credit", streamId: 99, tokens: 5 });
    });
    await t.step("and the stream beside them ends well", async () => {
      const { end } = await other;
      assert(end.kind === "finish" && end.reason === "length");
    });
    await client.close();
  });
});

Deno.test("a stream's number is taken while it is open", () =>
  withNode(async ({ port }) => {
    const client = await NodeClient.connect(port);
    client.send(submit({ streamId: 5, credit: 1 }));
    client.send(submit({ streamId: 5 }));
    assert.match((await client.failure(0)).message, /stream 5.*open already/);
    client.send({ kind: "credit", streamId: 5, tokens: 100 });
    const { tokens, end } = await client.end(5);
    assert(end.kind === "finish" && tokens.length === 40);
    const again = await client.run(submit({ streamId: 6 }));
    assert.deepEqual(again.tokens, tokens);
    await client.close();
  }));

Deno.test("a frame that cannot be trusted closes the socket, and that one alone", async (t) => {
  await withNode(async ({ port }) => {
    const other = await NodeClient.connect(port);
    const running = other.run(submit({ tokensMax: 200 }));
    const cases: [string, Uint8Array | string, number][] = [
      ["malformed", Uint8Array.of(0x22, 9, 8), 1007],
      ["text", "hello", 1003],
      ["a node's frame", encodeFrame({ kind: "cancel", streamId: 1 }).with(0, 0x32), 1002],
      ["too large", new Uint8Array(LIMITS.frameBytesMax + 1), 1009],
    ];
    for (const [name, bytes, code] of cases) {
      await t.step(name, async () => {
        const client = await NodeClient.connect(port);
        client.send(submit({ tokensMax: 900 }));
        client.sendBytes(bytes);
        assert.equal(await client.closed, code);
      });
    }
    const { end } = await running;
    assert(end.kind === "finish" && end.reason === "length");
    await other.close();
  });
});

Deno.test("a failed step fails its sequences, and the next ones are right", () =>
  withNode(async ({ port, fake }) => {
    const client = await NodeClient.connect(port);
    const right = await client.run(submit({ streamId: 1 }));
    fake.failNext = "bad_plan";
    const { end } = await client.run(submit({ streamId: 2 }));
    assert(end.kind === "failure" && end.code === "engine" && end.replaySafe);
    const again = await client.run(submit({ streamId: 3 }));
    assert.deepEqual(again.tokens, right.tokens);
    await client.close();
  }));

Deno.test("a broken engine ends every stream, and the node is not healthy", async () => {
  const fake = new FakeEngine({ stepMs: 1 });
  const engine = await startStepEngine(fake);
  const server = await NodeServer.listen(engine);
  const client = await NodeClient.connect(server.port);
  fake.failNext = "internal";
  const { end } = await client.run(submit());
  assert(end.kind === "failure" && end.code === "engine");
  await assert.rejects(engine.ended, /internal/);
  const health = await fetch(`http://127.0.0.1:${server.port}/healthz`);
  assert.equal(health.status, 503);
  await health.body?.cancel();
  await engine.close();
  await server.close();
});
