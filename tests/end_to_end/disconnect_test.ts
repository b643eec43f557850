/** Clients that vanish: 200 of them, at random moments, in all four phases. @module */
import assert from "node:assert/strict";
import { seededRandom } from "../../bench/stats.ts";
import { eventually, sampleSum, Served } from "../support/served.ts";

const CLIENTS = 200;
/** Fewer slots than clients at once, so that many are dropped while queued. */
const SLOTS = 8;
const AT_ONCE = 40;
const LONG_PROMPT = "The tide comes in and the tide goes out again. ".repeat(150);

type Kind = "short" | "context" | "streaming" | "whole";
const KINDS: readonly Kind[] = ["short", "context", "streaming", "whole"];

interface Dropped {
  kind: Kind;
  /** What the client had seen when it left. */
  seen: "nothing" | "some" | "all";
}

/** One client: asks something that nobody else asks, then drops the connection.
 * `streaming` leaves after some events, the others after some time. */
async function dropOne(served: Served, index: number, random: () => number): Promise<Dropped> {
  const kind = KINDS[index % KINDS.length];
  const controller = new AbortController();
  const leave = () => controller.abort();
  const body = {
    model: served.model,
    messages: [{
      role: "user",
      content: `Story ${index}. ${kind === "context" ? LONG_PROMPT : ""} Tell it at length.`,
    }],
    max_tokens: 300,
    stream: kind !== "whole",
  };
  const timer = kind === "streaming" ? undefined : setTimeout(leave, random() * 1500);
  let eventsLeft = 1 + Math.floor(random() * 12);
  let seen: Dropped["seen"] = "nothing";
  try {
    const response = await served.post("/v1/chat/completions", body, controller.signal);
    for await (const _piece of response.body!) {
      seen = "some";
      if (kind === "streaming" && --eventsLeft <= 0) leave();
    }
    seen = "all";
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
  }
  return { kind, seen };
}

async function answerOf(served: Served): Promise<string> {
  const response = await fetch(`${served.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify({
      model: served.model,
      messages: [{ role: "user", content: "What is a river?" }],
      temperature: 0,
      max_tokens: 32,
    }),
  });
  return (await response.json()).choices[0].message.content;
}

/** What is held although nobody waits for it, in words; empty when all is free. */
async function heldBy(served: Served): Promise<string> {
  const node = await served.nodeMetrics();
  const gateway = await served.gatewayMetrics();
  const held = {
    "slots busy": sampleSum(node, "redraft_slots_busy"),
    "requests waiting": sampleSum(node, "vllm:num_requests_waiting"),
    "pages held": sampleSum(node, "redraft_pages_max") - sampleSum(node, "redraft_pages_free"),
    // A stream's credit lives and ends with it, on both sides of the wire.
    "streams open": sampleSum(gateway, "redraft_gateway_node_streams"),
    "requests active": sampleSum(gateway, "redraft_gateway_requests_active"),
  };
  return Object.entries(held).filter(([, count]) => count !== 0)
    .map(([name, count]) => `${count} ${name}`).join(", ");
}

Deno.test("200 clients that drop leave no slot, page or credit behind", async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  console.log(`seed ${seed}`);
  const random = seededRandom(seed);
  await using served = await Served.start(`--slots-max=${SLOTS}`);
  const before = await answerOf(served);
  const dropped: Dropped[] = [];
  let next = 0;
  const client = async () => {
    while (next < CLIENTS) dropped.push(await dropOne(served, next++, random));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, client));
  assert.equal(dropped.length, CLIENTS);
  const count = (pick: (client: Dropped) => boolean) => dropped.filter(pick).length;
  assert.ok(count(({ seen }) => seen === "nothing") >= 20, "too few left before the first token");
  assert.ok(count(({ seen }) => seen === "some") >= 20, "too few left mid-stream");
  let held = "";
  await eventually(async () => (held = await heldBy(served)) === "", 10_000, () => held);
  assert.equal(await answerOf(served), before);
});
