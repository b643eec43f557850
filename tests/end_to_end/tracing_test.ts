import assert from "node:assert/strict";
import { OtlpReceiver, type ReceivedSpan } from "../support/otlp_receiver.ts";
import { eventually, Served } from "../support/served.ts";

const WAIT_MS = 20_000;
const GATEWAY = "redraft-gateway";
const NODE = "redraft-node";
/** OTLP's span kinds. */
const [INTERNAL, SERVER, CLIENT] = [1, 2, 3];
const ERROR = 2;

const SECRET = "the heron's secret";

function ask(served: Served, traceparent: string, maxTokens: number): Promise<Response> {
  return fetch(`${served.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", traceparent, "cache-control": "no-store" },
    body: JSON.stringify({
      model: served.model,
      messages: [{ role: "user", content: `Tell ${SECRET}.` }],
      max_tokens: maxTokens,
      temperature: 0,
      ignore_eos: true,
      stream: true,
    }),
  });
}

function assertBelow(child: ReceivedSpan, parent: ReceivedSpan): void {
  assert.equal(child.traceId, parent.traceId);
  assert.equal(child.parentSpanId, parent.spanId, `${child.name} is below ${parent.name}`);
}

async function wholeRequest(receiver: OtlpReceiver, served: Served): Promise<void> {
  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const response = await ask(served, `00-${traceId}-b7ad6b7169203331-01`, 12);
  assert.match(await response.text(), /\[DONE\]/);
  const chatName = `chat ${served.model}`;
  for (const [service, name] of [[NODE, "generation"], [GATEWAY, chatName]]) {
    await arrived(receiver, traceId, service!, name!, 1);
  }
  const one = (service: string, name: string) => {
    const found = receiver.find(traceId, service, name);
    assert.equal(found.length, 1, `${found.length} spans ${name} of ${service}`);
    return found[0]!;
  };
  const chat = one(GATEWAY, chatName);
  assert.equal(chat.parentSpanId, "b7ad6b7169203331", "the client's trace goes on");
  assert.equal(chat.kind, SERVER);
  assert.equal(chat.attributes["gen_ai.request.model"], served.model);
  assert.equal(chat.attributes["gen_ai.operation.name"], "chat");
  assert.equal(chat.attributes["gen_ai.usage.output_tokens"], 12);
  assert.deepEqual(chat.attributes["gen_ai.response.finish_reasons"], ["length"]);
  const submit = one(GATEWAY, "submit");
  assertBelow(submit, chat);
  assert.equal(submit.kind, CLIENT);
  assert.ok(chat.startMs <= submit.startMs && submit.endMs <= chat.endMs + 1);
  const generate = one(NODE, `generate ${served.model}`);
  assertBelow(generate, submit);
  assert.equal(generate.kind, SERVER);
  const inputTokens = "gen_ai.usage.input_tokens";
  assert.equal(generate.attributes[inputTokens], chat.attributes[inputTokens]);
  assertPhases(generate, ["queue", "context", "generation"].map((name) => one(NODE, name)));
}

/** One after another, within the sequence. */
function assertPhases(generate: ReceivedSpan, phases: ReceivedSpan[]): void {
  for (const [i, phase] of phases.entries()) {
    assertBelow(phase, generate);
    assert.equal(phase.kind, INTERNAL);
    if (i > 0) assert.ok(Math.abs(phase.startMs - phases[i - 1]!.endMs) < 1);
  }
  assert.ok(phases[1]!.endMs > phases[1]!.startMs, "the context phase took time");
  assert.ok(phases[2]!.endMs <= generate.endMs + 1, "phases lie within their sequence");
}

async function lostNode(receiver: OtlpReceiver, served: Served): Promise<void> {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const response = await ask(served, `00-${traceId}-00f067aa0ba902b7-01`, 300);
  const reader = response.body!.getReader();
  await reader.read();
  Deno.kill(served.ready.node_pid, "SIGKILL");
  while (!(await reader.read()).done);
  const submits = await arrived(receiver, traceId, GATEWAY, "submit", 2);
  const [lost, next] = submits.sort((a, b) => a.startMs - b.startMs);
  assert.equal(lost!.statusCode, ERROR);
  assert.equal(lost!.attributes["error.type"], "upstream_error");
  assert.notEqual(next!.statusCode, ERROR);
  const [generate] = await arrived(receiver, traceId, NODE, `generate ${served.model}`, 1);
  assertBelow(generate!, next!);
}

async function badTraceparent(receiver: OtlpReceiver, served: Served): Promise<void> {
  const before = receiver.spans.length;
  const response = await ask(served, `00-${"0".repeat(32)}-b7ad6b7169203331-01`, 2);
  await response.text();
  const begun = () =>
    receiver.spans.slice(before).filter(({ service, name }) =>
      service === GATEWAY && name === `chat ${served.model}`
    );
  await eventually(() => Promise.resolve(begun().length === 1), WAIT_MS, () => "no span");
  assert.notEqual(begun()[0]!.traceId, "0".repeat(32));
}

/** @throws {Error} If the spans do not come, or more of them. */
async function arrived(
  receiver: OtlpReceiver,
  traceId: string,
  service: string,
  name: string,
  count: number,
): Promise<ReceivedSpan[]> {
  const find = () => receiver.find(traceId, service, name);
  const said = () => receiver.spans.map(({ service, name }) => `${service} ${name}`).join("\n");
  await eventually(() => Promise.resolve(find().length >= count), WAIT_MS, said);
  assert.equal(find().length, count);
  return find();
}

Deno.test("one trace runs from the client through the gateway to each node", async (t) => {
  await using receiver = new OtlpReceiver();
  await using served = await Served.startIn(receiver.env, "--drain-ms=100");
  await t.step("a request's spans, with what they took", () => wholeRequest(receiver, served));
  await t.step(
    "a lost node's span has failed, the next one's has not",
    () => lostNode(receiver, served),
  );
  await t.step("what is no traceparent begins a trace", () => badTraceparent(receiver, served));
  assert.ok(!JSON.stringify(receiver.spans).includes(SECRET), "no span holds text");
});
