import assert from "node:assert/strict";
import { NodeClient } from "../support/node_client.ts";
import { idle, submit, withNode } from "./fake_node.ts";
import { promptTokens } from "./requests.ts";

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

Deno.test("a step's frames leave as one message, to a gateway that takes that", async (t) => {
  const runFour = async (port: number, takesSeveral: boolean) => {
    const client = await NodeClient.connect(port, { takesSeveral });
    const ids = [1, 2, 3, 4];
    for (const streamId of ids) client.send(submit({ streamId }));
    const ends = await Promise.all(ids.map((streamId) => client.end(streamId)));
    await client.close();
    return { tokens: ends.map((end) => end.tokens), client };
  };
  await withNode(async ({ port }) => {
    const single = await runFour(port, false);
    assert.equal(single.client.messageCount, single.client.frames.length);
    await t.step("with the same tokens", async () => {
      const several = await runFour(port, true);
      assert.deepEqual(several.tokens, single.tokens);
      const { messageCount, frames } = several.client;
      assert(messageCount < frames.length / 2, `${messageCount} messages, ${frames.length} frames`);
    });
    await t.step("and what is said last before it hangs up", async () => {
      const client = await NodeClient.connect(port, { takesSeveral: true });
      client.sendBytes(Uint8Array.of(0x22, 9, 8));
      assert.equal((await client.failure(0)).code, "bad_frame");
      assert.equal(await client.closed, 1007);
    });
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
        /^vllm:spec_decode_num_accepted_tokens_total\{model_name="fake"\} [1-9]/m,
        /^vllm:time_to_first_token_seconds_count\{model_name="fake"\} 1$/m,
        /^redraft_kv_bytes_per_token\{model_name="fake"\} 4$/m,
        /^process_resident_memory_bytes [1-9]/m,
      ]
    ) assert.match(text, line);
    const missing = await fetch(`http://127.0.0.1:${port}/nothing`);
    assert.equal(missing.status, 404);
    await missing.body?.cancel();
  }));
