/** The mock node of `bench gateway`, a process of its own: real frames on a real WebSocket and the
 * real tokenizer, but its tokens cost nothing. Beside it, an HTTP server that answers as an OpenAI
 * server would, for gateways that proxy HTTP. @module */
import { ScriptedNode, type ScriptedStream } from "../tests/support/scripted_node.ts";
import { testTokenizerJson } from "../tests/support/test_model.ts";

/** Tokens of a frame: about what a step gains. */
const STEP_TOKENS = 2;
/** Of a word that every vocabulary has. */
const TOKEN = 260;
const CONTEXT_MAX = 1 << 16;
/** Longer answers are streamed step by step, as credit allows. */
const AT_ONCE_MAX = 32;

const tokenizerJson = await testTokenizerJson();

/** Streams whose answers are under way, and the one clock of their steps. */
const running = new Set<ScriptedStream>();
let stepping = false;

function answer(stream: ScriptedStream): void {
  const { tokensMax } = stream.submit;
  if (tokensMax <= AT_ONCE_MAX) {
    stream.tokens(new Array(tokensMax).fill(TOKEN));
    return stream.finish("length");
  }
  running.add(stream);
  if (!stepping) setTimeout(step, 0);
  stepping = true;
}

/** As a node's: each stream gains some tokens, as far as its credit goes. */
function step(): void {
  for (const stream of running) {
    const left = stream.submit.tokensMax - stream.sent;
    const count = Math.min(STEP_TOKENS, left, stream.credit - stream.sent);
    if (count > 0) stream.tokens(new Array(count).fill(TOKEN));
    if (count < left && !stream.cancelled) continue;
    running.delete(stream);
    stream.finish("length");
  }
  stepping = running.size > 0;
  if (stepping) setTimeout(step, 0);
}

/** A scripted node holds one socket: the gateway has one node, who asks directly another. */
function mockNode(): ScriptedNode {
  const node = new ScriptedNode({
    modelId: "mock",
    contextMax: CONTEXT_MAX,
    slotsMax: 4096,
    queueMax: 4096,
    tokenizerJson,
    vocabSize: 49_152,
  });
  node.script = answer;
  return node;
}

const node = mockNode();
const direct = mockNode();

const ANSWER = JSON.stringify({
  id: "chatcmpl-0",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "mock",
  choices: [{
    index: 0,
    message: { role: "assistant", content: " the".repeat(8) },
    finish_reason: "length",
  }],
  usage: { prompt_tokens: 20, completion_tokens: 8, total_tokens: 28 },
});

const http = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
  const { pathname } = new URL(request.url);
  if (request.method === "POST") await request.arrayBuffer();
  const body = pathname === "/v1/models"
    ? JSON.stringify({ object: "list", data: [{ id: "mock", object: "model" }] })
    : ANSWER;
  return new Response(body, { headers: { "content-type": "application/json" } });
});

const ports = { port: node.port, direct_port: direct.port, http_port: http.addr.port };
console.log(JSON.stringify({ event: "ready", ...ports }));
// Only the load matters: what `submits` remembers would grow without end.
setInterval(() => node.submits.length = direct.submits.length = 0, 1000);
