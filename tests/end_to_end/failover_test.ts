/** Real nodes that are killed or restarted while they answer: the text is what it would have been.
 * @module */
import assert from "node:assert/strict";
import { Fleet } from "../support/fleet.ts";
import { readStream } from "../support/sse.ts";

const TOKENS = 60;
const SAMPLINGS = [
  { temperature: 0 },
  { temperature: 0.9, seed: 11, presence_penalty: 0.5, logprobs: true },
];

function body(more: Record<string, unknown>): Record<string, unknown> {
  const messages = [{ role: "user", content: "Tell me of a ship and its crew." }];
  return { messages, max_tokens: TOKENS, ignore_eos: true, ...more };
}

function streamed(more: Record<string, unknown>): Record<string, unknown> {
  return body({ ...more, stream: true, stream_options: { include_usage: true } });
}

/** `REDRAFT_KILLS` runs more of them. */
const KILLS = Number(Deno.env.get("REDRAFT_KILLS") ?? 4);

Deno.test("three nodes", async (t) => {
  await using fleet = await Fleet.start(3);
  const undisturbed = new Map<unknown, { text: string; logprobs: unknown }>();
  for (const sampling of SAMPLINGS) {
    const whole = await (await fleet.chat(body(sampling))).json();
    const { message, logprobs } = whole.choices[0];
    undisturbed.set(sampling, { text: message.content, logprobs: logprobs?.content });
  }

  await t.step(`kill -9 of the node at work, ${KILLS} times`, async () => {
    let killedCount = 0;
    for (let i = 0; i < KILLS; ++i) {
      const sampling = SAMPLINGS[i % SAMPLINGS.length]!;
      const killAt = 1 + Math.floor(Math.random() * TOKENS * 0.6);
      let killed = false;
      const answer = await readStream(await fleet.chat(streamed(sampling)), (eventCount) => {
        if (killed || eventCount < killAt) return;
        const node = fleet.busyNode;
        if (node === undefined) return;
        killed = true;
        ++killedCount;
        Deno.kill(node.pid, "SIGKILL");
      });
      const what = `killed ${killed ? `at event ${killAt}` : "nobody"}, run ${i}`;
      const { text, logprobs } = undisturbed.get(sampling)!;
      assert.equal(answer.text, text, what);
      assert.ok(answer.done, what);
      const reasons = answer.events.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean);
      assert.deepEqual(reasons, ["length"], what);
      assert.equal(answer.events.at(-1).usage.completion_tokens, TOKENS, what);
      if (logprobs !== undefined) {
        const parts = answer.events.flatMap((event) => event.choices[0]?.logprobs?.content ?? []);
        assert.deepEqual(parts, logprobs, what);
      }
      await fleet.allReady();
    }
    // An answer may be all there before its reader has come far: then there is nothing to kill.
    assert.ok(killedCount >= KILLS / 2, `${killedCount} of ${KILLS} were killed at work`);
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text();
    const moves = Number(/^redraft_gateway_moves_total (.*)$/m.exec(metrics)![1]);
    assert.ok(moves > 0 && moves <= killedCount, `${moves} moves`);
    console.log(`${killedCount} killed, ${moves} streams moved`);
  });

  await t.step("a node that is stopped hands its streams over", async () => {
    const answers = SAMPLINGS.flatMap((sampling) =>
      [1, 2, 3].map(async () => {
        const { text } = await readStream(await fleet.chat(streamed(sampling)));
        assert.equal(text, undisturbed.get(sampling)!.text);
      })
    );
    // One after another, as a rolling restart does; each comes back before the next goes.
    const restarts = (async () => {
      for (const node of fleet.nodes) {
        Deno.kill(node.pid, "SIGTERM");
        await new Promise((resolve) => setTimeout(resolve, 300));
        await fleet.allReady();
      }
    })();
    await Promise.all([...answers, restarts]);
  });
});
