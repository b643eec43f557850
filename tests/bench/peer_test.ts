import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { compareRates, PeerError } from "../../bench/peer_engine.ts";
import { LlamaPeer } from "../../bench/peer_llama.ts";
import { peerSpecReport } from "../../bench/peer_spec.ts";
import { ServerPeer } from "../../bench/peer.ts";
import { seededRandom } from "../../bench/stats.ts";
import { CACHE, exists } from "../../tools/paths.ts";
import { pullModel } from "../../tools/pull_model.ts";
import { withGateway } from "../support/scripted_gateway.ts";

const rates = (one: number, two: number, prompt: number) => ({
  decode: one,
  prompt,
  batch: new Map([[1, one], [8, two]]),
});

Deno.test("compareRates() takes ratios round by round", () => {
  // The machine was twice as fast in the second round, and no side was.
  const ours = [rates(10, 40, 100), rates(20, 80, 200), rates(10, 40, 100)];
  const theirs = [rates(5, 10, 50), rates(10, 20, 100), rates(5, 10, 50)];
  const { peer, peer_ratio } = compareRates("other", ours, theirs);
  assert.equal(peer.decode_tokens_per_second, 5);
  assert.deepEqual(peer.batch_tokens_per_second, { 1: 5, 8: 10 });
  assert.equal(peer_ratio!.decode_tokens_per_second, 2);
  assert.equal(peer_ratio!.decode_tokens_per_second_low, 2);
  assert.equal(peer_ratio!.prompt_tokens_per_second, 2);
  assert.deepEqual(peer_ratio!.batch_tokens_per_second, { 1: 2, 8: 4 });
});

Deno.test("peerSpecReport() holds us against the better of the peer's ways", () => {
  const turn = { tokens: 100, seconds: 2, lookup: { seconds: 1, steps: 50 } };
  const slow = { tokens: 100, seconds: 2, lookup: { seconds: 4, steps: 100 } };
  const report = (turns: typeof turn[]) =>
    peerSpecReport("other", [{ specSeconds: 0.5 * turns.length, turns }], seededRandom(1));
  assert.equal(report([turn]).peer_ratio, 2);
  assert.equal(report([slow]).peer_ratio, 4);
  const both = report([turn, slow]);
  assert.equal(both.peer.plain_tokens_per_second, 50);
  assert.equal(both.peer.lookup_tokens_per_second, 40);
  assert.equal(both.peer.lookup_tokens_per_step, 1.333);
  assert.equal(both.peer_ratio, 4);
  const { lookup: _, ...plain } = turn;
  const server = peerSpecReport(
    "a server",
    [{ specSeconds: 0.5, turns: [plain] }],
    seededRandom(1),
  );
  assert.deepEqual(server.peer, { name: "a server", tokens_per_second: 50 });
  assert.equal(server.peer_ratio, 4);
});

const WORKLOAD = { prompt: new Uint32Array(110), starts: [], widths: [1, 3], decodeTokens: 4 };

Deno.test("ServerPeer measures a server, and says what is wrong with one", async () => {
  assert.throws(() => new ServerPeer("llama2"), PeerError);
  await withGateway(async ({ url }) => {
    const peer = new ServerPeer(`${url}/v1/`);
    await peer.warm();
    const { decode, prompt, batch } = await peer.rates(WORKLOAD);
    assert.ok(decode > 0 && prompt > 0 && batch.get(3)! > 0);
    const turn = await peer.turn(Uint32Array.of(1, 2, 3), 8, 2);
    assert.ok(turn.tokens === 8 && turn.seconds > 0);
    await assert.rejects(new ServerPeer(`${url}/elsewhere`).warm(), /it answers 404/);
  });
  let answer = "";
  const other = createServer((_, response) => void response.end(answer)).listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const peer = new ServerPeer(`http://127.0.0.1:${port}`);
  for (answer of ["<html>", "null", `{"data":[]}`]) {
    await assert.rejects(peer.warm(), /it lists no model: /);
  }
  for (const usage of ["null", `{"prompt_tokens":1,"completion_tokens":null}`]) {
    answer = `{"data":[{"id":"m"}],"usage":${usage}}`;
    await assert.rejects(peer.warm(), /its answer has no usage: /);
  }
  // The rest of a short answer is taken to come as fast; its prompt is not asked for again.
  answer = `data: {"choices":[]}\n\ndata: {"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\n`;
  const short = await peer.turn(Uint32Array.of(1, 2, 3), 100, 1);
  assert.ok(short.seconds < 2, `${short.seconds}`);
  other.closeAllConnections();
  other.close();
  await once(other, "close");
  await assert.rejects(peer.warm(), PeerError);
});

// Building it takes a quarter of an hour, so nobody's tests begin with that.
if (await exists(join(CACHE, "python", "llama", ".installed.json"))) {
  Deno.test("LlamaPeer decodes, drafts and fails by name", async () => {
    await assert.rejects(LlamaPeer.open("/no/such/model.gguf", 1, 1), Deno.errors.NotFound);
    const llama = await LlamaPeer.open(await pullModel(), 2, 3);
    try {
      const prompt = Uint32Array.from([504, 1185, 282, 504, 1185, 282, 504, 1185, 282, 504]);
      const plain = await llama.generate(prompt, 16, false);
      const drafted = await llama.generate(prompt, 16, true);
      assert.equal(plain.tokens.length, 16);
      assert.equal(plain.steps, 16);
      assert.ok(drafted.tokens.length >= 16 && drafted.steps < 16, `${drafted.steps} steps`);
      assert.deepEqual(drafted.tokens.slice(0, 8), plain.tokens.slice(0, 8));
      assert.ok(await llama.promptSeconds(prompt) > 0);
      assert.ok(await llama.decodeSeconds([prompt, prompt, prompt], 4) > 0);
      await assert.rejects(llama.decodeSeconds(Array(4).fill(prompt), 4), PeerError);
      assert.ok(await llama.promptSeconds(prompt) > 0, "an error ends the order alone");
    } finally {
      await llama.close();
    }
    await assert.rejects(llama.promptSeconds(Uint32Array.of(1)), PeerError);
  });
}
