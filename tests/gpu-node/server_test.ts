import assert from "node:assert/strict";
import { FakeEngine, type FakeOptions } from "../../gpu-node/engine_fake.ts";
import { startStepEngine, type StepEngine } from "../../gpu-node/engine_step.ts";
import { NodeServer, type ServerOptions } from "../../gpu-node/server.ts";
import { encodeFrame, type SubmitFrame } from "../../proto/frame.ts";
import { LIMITS } from "../../proto/limits.ts";
import { submitFrame } from "../proto/frames.ts";
import { NodeClient } from "../support/node_client.ts";
import { promptTokens } from "./requests.ts";

interface TestNode {
  fake: FakeEngine;
  engine: StepEngine;
  server: NodeServer;
  port: number;
}

/** Runs `act` against a node, and checks afterwards that nothing of it is left. */
async function withNode(
  act: (node: TestNode) => Promise<void>,
  fakeOptions: FakeOptions = {},
  options: ServerOptions = {},
): Promise<void> {
  const fake = new FakeEngine({ stepMs: 1, ...fakeOptions });
  const engine = await startStepEngine(fake, { queueMax: 4 });
  const server = await NodeServer.listen(engine, { queueMax: 4, ...options });
  try {
    await act({ fake, engine, server, port: server.port });
    await idle(engine);
  } finally {
    await engine.close();
    await server.close();
  }
}

/** Waits until no sequence holds anything. */
async function idle(engine: StepEngine): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const { slotsBusy, queueCount, pagesFree, pagesMax } = engine.status();
    if (slotsBusy + queueCount === 0 && pagesFree === pagesMax) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`the engine still holds ${JSON.stringify(engine.status())}`);
}

const submit = (changes: Partial<SubmitFrame> = {}): SubmitFrame =>
  submitFrame({
    tokens: promptTokens(20, 1),
    generatedCount: 0,
    tokensMax: 40,
    stopTokens: [],
    credit: 1000,
    ...changes,
  });

Deno.test("a stream runs from Submit to Finish", () =>
  withNode(async ({ port, engine }) => {
    const client = await NodeClient.connect(port);
    const welcome = await client.first("welcome");
    assert.equal(welcome.model.id, "fake");
    assert.equal(welcome.slotsMax, engine.model.slotsMax);
    const { tokens, end } = await client.run(submit());
    assert.equal(tokens.length, 40);
    assert(end.kind === "finish" && end.reason === "length");
    assert.equal(end.generatedCount, 40);
    assert(end.acceptedCount > 0 && end.stepCount < 40, "speculation gains tokens");
    const frames = client.frames.filter((frame) => frame.kind === "tokens");
    const steps = frames.flatMap((frame) => frame.steps);
    assert.equal(steps.reduce((sum, step) => sum + step.tokenCount, 0), 40);
    const off = await client.run(submit({
      streamId: 8,
      speculation: { mode: "off", beamWidth: 0, beamLength: 0, packedMax: 0, wantTree: false },
    }));
    assert.deepEqual(off.tokens, tokens, "speculation changes no token");
    await client.close();
  }));

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

Deno.test("a socket that drops frees all that it started", () =>
  withNode(async ({ port, engine, server }) => {
    const client = await NodeClient.connect(port);
    for (let streamId = 1; streamId <= 12; streamId++) {
      client.send(submit({ streamId, tokensMax: 900, credit: streamId === 3 ? 0 : 1000 }));
    }
    await client.until((frames) => frames.find((frame) => frame.kind === "tokens"));
    await client.close();
    await idle(engine);
    assert.equal(server.streamCount, 0);
  }));

Deno.test("Cancel ends a stream, waiting, running or paused", () =>
  withNode(async ({ port }) => {
    const client = await NodeClient.connect(port);
    client.send(submit({ streamId: 1, tokensMax: 900 }));
    client.send(submit({ streamId: 2, tokensMax: 900 }));
    client.send(submit({ streamId: 3, tokensMax: 900, credit: 0 }));
    await client.until(() => client.tokens(1).length > 0 ? true : undefined);
    for (const streamId of [1, 2, 3]) {
      client.send({ kind: "cancel", streamId });
      const { end } = await client.end(streamId);
      assert(end.kind === "finish" && end.reason === "cancelled", JSON.stringify(end));
    }
    await client.close();
  }, { slotsMax: 1 }));

Deno.test("a stream without credit is paused and goes on where it stopped", () =>
  withNode(async ({ port, engine }) => {
    const client = await NodeClient.connect(port);
    const whole = await client.run(submit({ streamId: 1 }));
    client.send(submit({ streamId: 2, credit: 7 }));
    await client.until(() => client.tokens(2).length === 7 ? true : undefined);
    const { stepCount } = engine.counters();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert(engine.counters().stepCount <= stepCount + 2, "a paused sequence takes no steps");
    assert.equal(client.tokens(2).length, 7);
    for (let have = 8; have <= 40; have++) {
      client.send({ kind: "credit", streamId: 2, tokens: 1 });
      await client.until(() => client.tokens(2).length >= have ? true : undefined);
      assert.equal(client.tokens(2).length, have);
    }
    const { tokens, end } = await client.end(2);
    assert.deepEqual(tokens, whole.tokens);
    assert(end.kind === "finish" && end.generatedCount === 40);
    await client.close();
  }));

Deno.test("a full queue refuses, and says that another node may take it", () =>
  withNode(async ({ port }) => {
    const client = await NodeClient.connect(port);
    const all = Array.from(
      { length: 12 },
      (_, i) => client.run(submit({ streamId: i + 1, tokens: promptTokens(20, i) })),
    );
    const ends = (await Promise.all(all)).map(({ end }) => end);
    const refused = ends.filter((end) => end.kind === "failure");
    assert(refused.length > 0 && ends.length - refused.length >= 6);
    assert(refused.every((end) => end.code === "queue_full" && end.replaySafe));
    await client.close();
  }, { slotsMax: 2 }));

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

Deno.test("a broken engine ends every stream with a failure, and the node is not healthy", async () => {
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

Deno.test("a draining node refuses what is new and finishes what runs", () =>
  withNode(async ({ port, server }) => {
    const client = await NodeClient.connect(port);
    const running = client.run(submit({ streamId: 1, tokensMax: 300 }));
    await client.until(() => client.tokens(1).length > 0 ? true : undefined);
    const drained = server.drain(10_000);
    await client.first("drain");
    const ready = await fetch(`http://127.0.0.1:${port}/readyz`);
    assert.equal(ready.status, 503);
    await ready.body?.cancel();
    const late = await client.run(submit({ streamId: 2 }));
    assert(late.end.kind === "failure" && late.end.code === "draining" && late.end.replaySafe);
    const { end, tokens } = await running;
    assert(end.kind === "finish" && tokens.length === 300);
    await drained;
    await client.close();
  }));

Deno.test("the tokenizer comes in pieces, by its digest", () =>
  withNode(async ({ port, engine }) => {
    const client = await NodeClient.connect(port);
    const { model } = await client.first("welcome");
    client.send({ kind: "tokenizerGet", digest: model.tokenizerDigest });
    const chunk = await client.first("tokenizerChunk");
    assert.deepEqual(chunk.json, engine.model.tokenizerJson);
    assert.equal(chunk.count, 1);
    client.send({ kind: "tokenizerGet", digest: "0".repeat(64) });
    assert.match((await client.failure(0)).message, /tokenizer/);
    await client.close();
  }));

Deno.test("Status reports load and the blocks that a sequence stored", () =>
  withNode(async ({ port, engine }) => {
    const client = await NodeClient.connect(port);
    await client.run(submit());
    const stored = await client.until((frames) =>
      frames.findLast((frame) => frame.kind === "status" && frame.blocksStored.length > 0)
    );
    assert(stored.kind === "status");
    assert.deepEqual([...stored.blocksStored].sort(), [...engine.storedBlocks()].sort());
    assert.equal(stored.pagesFree, engine.model.pagesMax);
    const late = await NodeClient.connect(port);
    const first = await late.first("status");
    assert.deepEqual(first.blocksStored, engine.storedBlocks(), "a newcomer hears of all blocks");
    await Promise.all([client.close(), late.close()]);
  }));

Deno.test("/metrics has vLLM's names and the process's memory", () =>
  withNode(async ({ port }) => {
    const client = await NodeClient.connect(port);
    await client.run(submit());
    await client.close();
    const response = await fetch(`http://127.0.0.1:${port}/metrics`);
    const text = await response.text();
    for (
      const line of [
        /^vllm:num_requests_running\{model_name="fake"\} 0$/m,
        /^vllm:generation_tokens_total\{model_name="fake"\} 40$/m,
        /^vllm:request_success_total\{model_name="fake",finished_reason="length"\} 1$/m,
        /^vllm:spec_decode_num_accepted_tokens\{model_name="fake"\} [1-9]/m,
        /^vllm:time_to_first_token_seconds_count\{model_name="fake"\} 1$/m,
        /^redraft_kv_bytes_per_token\{model_name="fake"\} 4$/m,
        /^process_resident_memory_bytes [1-9]/m,
      ]
    ) assert.match(text, line);
    const missing = await fetch(`http://127.0.0.1:${port}/nothing`);
    assert.equal(missing.status, 404);
    await missing.body?.cancel();
  }));
