/** Nodes that are lost, slow or broken, as a client sees it: not at all. */
import assert from "node:assert/strict";
import {
  type Fixture,
  readChunks,
  statusOf,
  waitUntil,
  withGateway,
} from "../support/scripted_gateway.ts";
import type { ScriptedStream } from "../support/scripted_node.ts";

const TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom.";
const BYTES = [...new TextEncoder().encode(TEXT)];
const TWO = { nodes: [{}, {}] };

/** Goes on with `TEXT` from wherever the tokens in its Submit end, as a real node would. */
function goOn(stream: ScriptedStream, tokenCount = BYTES.length): boolean {
  const { generatedCount, tokensMax, tokens } = stream.submit;
  assert.deepEqual(
    [...tokens.subarray(tokens.length - generatedCount)],
    BYTES.slice(
      0,
      generatedCount,
    ),
  );
  const start = generatedCount + stream.sent;
  const end = Math.min(start + tokenCount, BYTES.length, generatedCount + tokensMax);
  stream.tokens(BYTES.slice(start, end));
  if (end < BYTES.length && end < generatedCount + tokensMax) return false;
  stream.finish(end === BYTES.length ? "stop" : "length");
  return true;
}

function textOf(chunks: Array<{ choices: Array<{ delta: { content?: string } }> }>): string {
  return chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
}

/** Each node sends some tokens and dies, so long as `deaths` lasts. */
function dieOften(fixture: Fixture, deaths: number[]): void {
  for (const node of fixture.nodes) {
    node.script = (stream) => {
      const count = deaths.shift();
      if (count === undefined) return void goOn(stream);
      if (count > 0 && goOn(stream, count)) return;
      setTimeout(() => node.dropConnection(), 5);
    };
  }
}

Deno.test("a stream goes on at another node, token for token", async () => {
  await withGateway(async (fixture) => {
    dieOften(fixture, [5, 0, 17, 1]);
    const response = await fixture.chat({ stream: true, stream_options: { include_usage: true } });
    const chunks = await readChunks(response);
    assert.equal(textOf(chunks), TEXT);
    const finishes = chunks.filter(({ choices }) => choices[0]?.finish_reason);
    assert.deepEqual(finishes.map(({ choices }) => choices[0].finish_reason), ["stop"]);
    assert.equal(chunks.at(-1).usage.completion_tokens, BYTES.length);
    const submits = fixture.nodes.flatMap((node) => node.submits);
    const seeds = new Set(submits.map(({ sampling }) => sampling.seedLow));
    assert.equal(submits.length, 5);
    assert.equal(seeds.size, 1);
    const metrics = await (await fetch(`${fixture.url}/metrics`)).text();
    assert.equal(/^redraft_gateway_moves_total (.*)$/m.exec(metrics)?.[1], "4");
  }, TWO);
});

Deno.test("a whole answer, a length limit and a stop string stand a node's death too", async () => {
  await withGateway(async (fixture) => {
    dieOften(fixture, [7, 3]);
    const whole = await (await fixture.chat()).json();
    assert.equal(whole.choices[0].message.content, TEXT);
    dieOften(fixture, [4, 4]);
    const cut = await (await fixture.chat({ max_tokens: 10 })).json();
    assert.equal(cut.choices[0].message.content, TEXT.slice(0, 10));
    assert.equal(cut.choices[0].finish_reason, "length");
    // A stop string half of which came from a node that is gone.
    dieOften(fixture, [TEXT.indexOf("worst") + 3]);
    const stopped = await (await fixture.chat({ stop: "worst" })).json();
    assert.equal(stopped.choices[0].message.content, TEXT.slice(0, TEXT.indexOf("worst")));
    assert.equal(stopped.choices[0].finish_reason, "stop");
  }, TWO);
});

Deno.test("a node that dies between the last token and its finish changes nothing", async () => {
  await withGateway(async (fixture) => {
    const { chat, nodes } = fixture;
    for (const node of nodes) {
      node.script = (stream) => {
        stream.finish = () => {};
        stream.tokens(BYTES.slice(0, 6));
        setTimeout(() => node.dropConnection(), 5);
      };
    }
    const { choices, usage } = await (await chat({ max_tokens: 6 })).json();
    assert.equal(choices[0].message.content, TEXT.slice(0, 6));
    assert.equal(choices[0].finish_reason, "length");
    assert.equal(usage.completion_tokens, 6);
    const stopped = await (await chat({ stop: "was" })).json();
    assert.equal(stopped.choices[0].message.content, "It ");
    assert.equal(nodes.flatMap((node) => node.submits).length, 2);
  }, TWO);
});

Deno.test("a single node that comes back goes on where it was lost", async () => {
  await withGateway(async (fixture) => {
    dieOften(fixture, [9]);
    const chunks = await readChunks(await fixture.chat({ stream: true }));
    assert.equal(textOf(chunks), TEXT);
  });
});

Deno.test("a request that breaks every node is given up", async () => {
  await withGateway(async (fixture) => {
    dieOften(fixture, new Array(100).fill(0));
    const response = await fixture.chat();
    assert.equal(response.status, 502);
    assert.equal(response.headers.get("x-should-retry"), "false");
    await response.body?.cancel();
    assert.equal(fixture.nodes.flatMap((node) => node.submits).length, 3);
    const { pool } = fixture.gateway.services;
    await waitUntil(() => pool.readyCount === 2, "nodes back");
    dieOften(fixture, new Array(100).fill(1));
    const chunks = await readChunks(await fixture.chat({ stream: true }));
    assert.equal(chunks.at(-1).error.code, "upstream_error");
    assert.ok(chunks.slice(0, -1).every(({ choices }) => choices[0].finish_reason === null));
  }, TWO);
});

Deno.test("without another node the stream ends in time, with an error", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = async (stream) => {
      stream.text("half an ans");
      await new Promise((resolve) => setTimeout(resolve, 20));
      await node.stop();
    };
    const chunks = await readChunks(await chat({ stream: true }));
    const last = chunks.pop();
    assert.equal(last.error.code, "upstream_error");
    assert.deepEqual(Object.keys(last.error), ["message", "type", "param", "code"]);
    assert.ok(chunks.every((chunk) => chunk.choices[0].finish_reason === null));
  }, { args: ["--failover-timeout-s", "1"] });
});

Deno.test("a node with another backend might draw other tokens: it does not go on", async () => {
  await withGateway(async (fixture) => {
    const { chat, nodes } = fixture;
    for (const node of nodes) {
      node.script = (stream) => {
        if (goOn(stream, 4)) return;
        node.stop();
      };
    }
    const chunks = await readChunks(await chat({ stream: true }));
    assert.equal(chunks.at(-1).error.code, "upstream_error");
    assert.equal(nodes.flatMap((node) => node.submits).length, 1);
  }, { nodes: [{ backend: "cpu" }, { backend: "cuda" }], args: ["--failover-timeout-s", "1"] });
});

Deno.test("an engine that breaks mid-stream is replaced as a lost node is", async () => {
  await withGateway(async ({ chat, nodes }) => {
    let first = true;
    for (const node of nodes) {
      node.script = (stream) => {
        if (!first) return void goOn(stream);
        first = false;
        goOn(stream, 4);
        stream.fail("engine", false);
      };
    }
    assert.equal((await (await chat()).json()).choices[0].message.content, TEXT);
  }, TWO);
});

for (
  const [what, args, start] of [
    ["a first token", ["--first-token-timeout-s", "1"], 0],
    ["a next token", ["--gap-timeout-s", "1"], 6],
  ] as const
) {
  Deno.test(`a node that is too long in sending ${what} is left for another`, async () => {
    await withGateway(async ({ chat, nodes, gateway }) => {
      let first = true;
      for (const node of nodes) {
        node.script = (stream) => {
          if (!first) return void goOn(stream);
          first = false;
          if (start > 0) goOn(stream, start);
        };
      }
      assert.equal((await (await chat()).json()).choices[0].message.content, TEXT);
      await waitUntil(
        () => nodes.reduce((sum, node) => sum + node.cancels.length, 0) === 1,
        "the slow one cancelled",
      );
      // What the slow node still sends is nobody's.
      for (const node of nodes) for (const stream of node.streams.values()) goOn(stream);
      assert.equal(gateway.services.pool.readyCount, 2);
    }, { ...TWO, args: [...args] });
  });
}

Deno.test("a reader who takes nothing is no reason to leave a node", async () => {
  await withGateway(async ({ chat, node }) => {
    node.script = async (stream) => {
      const total = stream.submit.tokensMax;
      while (stream.sent < total && !stream.cancelled) {
        const room = Math.min(stream.credit - stream.sent, total - stream.sent);
        if (room > 0) stream.tokens(new Array(room).fill(97));
        else await stream.changed();
      }
      stream.finish("length");
    };
    // The node has no credit left for longer than the gap that is allowed.
    const response = await chat({ stream: true, max_tokens: 4000 });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const chunks = await readChunks(response);
    assert.equal(textOf(chunks).length, 4000);
    assert.equal(node.submits.length, 1);
  }, { nodes: [{ contextMax: 8192 }], args: ["--gap-timeout-s", "1"] });
});

Deno.test("a slow first token is hedged, and the slower node's work is cancelled", async () => {
  await withGateway(async ({ chat, nodes, url }) => {
    let first = true;
    for (const node of nodes) {
      node.script = (stream) => {
        if (!first) return void goOn(stream);
        first = false;
      };
    }
    assert.equal((await (await chat()).json()).choices[0].message.content, TEXT);
    const submits = nodes.flatMap((node) => node.submits);
    assert.equal(submits.length, 2);
    assert.equal(submits[0]!.sampling.seedLow, submits[1]!.sampling.seedLow);
    await waitUntil(() => nodes.flatMap((node) => node.cancels).length === 1, "cancelled");
    const metrics = await (await fetch(`${url}/metrics`)).text();
    assert.equal(/^redraft_gateway_hedges_total (.*)$/m.exec(metrics)?.[1], "1");
  }, { ...TWO, args: ["--hedge-ms", "50"] });
});

Deno.test("a node that keeps failing is left alone while another works", async () => {
  await withGateway(async ({ chat, nodes, gateway }) => {
    const [bad, good] = nodes;
    bad!.script = (stream) => stream.fail("engine", true);
    for (let i = 0; i < 30; ++i) assert.equal(await statusOf(await chat({ seed: i })), 200);
    assert.equal(bad!.submits.length, 5);
    assert.equal(good!.submits.length, 30);
    const { circuit } = gateway.services.pool.links[0]!;
    assert.equal(circuit.state(gateway.services.now()), "open");
  }, TWO);
});
