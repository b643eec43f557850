/** A constrained answer whose node is killed goes on elsewhere within its grammar: the next node
 * follows it through the tokens that are there already. @module */
import assert from "node:assert/strict";
import { Fleet } from "../support/fleet.ts";
import { readStream } from "../support/sse.ts";

const PERSON = {
  type: "object",
  properties: {
    first_name: { type: "string", maxLength: 20 },
    occupation: { type: "string", minLength: 30, maxLength: 60 },
    hobbies: { type: "array", items: { type: "string", maxLength: 15 }, minItems: 3, maxItems: 4 },
  },
  required: ["first_name", "occupation", "hobbies"],
  additionalProperties: false,
};
const response_format = { type: "json_schema", json_schema: { name: "person", schema: PERSON } };
const tools = [{ type: "function", function: { name: "add_person", parameters: PERSON } }];
const REQUESTS = [
  { response_format, temperature: 0 },
  { response_format, temperature: 0.8, seed: 5 },
  { tools, tool_choice: "required", parallel_tool_calls: false, temperature: 0.8, seed: 6 },
];

interface Delta {
  content?: string | null;
  tool_calls?: Array<{ function: { arguments?: string } }>;
}

function jsonOf(events: Array<{ choices: Array<{ delta: Delta }> }>): string {
  const deltas = events.flatMap(({ choices }) => choices).map(({ delta }) => delta);
  return deltas.map(({ content, tool_calls = [] }) =>
    (content ?? "") + tool_calls.map((call) => call.function.arguments ?? "").join("")
  ).join("");
}

Deno.test("a constrained answer goes on after its node is killed", async () => {
  await using fleet = await Fleet.start(2);
  let killedCount = 0;
  for (const [i, request] of REQUESTS.entries()) {
    const messages = [{ role: "user", content: "Describe a sailor." }];
    const body = { messages, max_tokens: 250, stream: true, ...request };
    const undisturbed = await readStream(await fleet.chat(body));
    const json = jsonOf(undisturbed.events);
    let killed = false;
    const answer = await readStream(await fleet.chat(body), (eventCount) => {
      const node = fleet.busyNode;
      if (killed || eventCount < 2 + i || node === undefined) return;
      killed = true;
      killedCount++;
      Deno.kill(node.pid, "SIGKILL");
    });
    assert.equal(jsonOf(answer.events), json);
    assert.deepEqual(Object.keys(JSON.parse(json)), PERSON.required);
    const reason = answer.events.at(-1).choices[0].finish_reason;
    assert.equal(reason, "tools" in request ? "tool_calls" : "stop");
    await fleet.allReady();
  }
  assert.ok(killedCount > 0, "one at least was killed at work");
  const metrics = await (await fetch(`${fleet.url}/metrics`)).text();
  assert.ok(Number(/^redraft_gateway_moves_total (.*)$/m.exec(metrics)![1]) > 0);
});
