/** More requests than the nodes hold, over real sockets. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readConfig } from "../../gateway/config.ts";
import { type Fixture, statusOf, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import type { ScriptedStream } from "../support/scripted_node.ts";

const keyOf = (tenant: string) => `sk-${tenant}-0123456789`;

/** One node with one slot, which answers when it is told to. */
class Slow {
  readonly order: string[] = [];
  readonly #running: ScriptedStream[] = [];

  constructor(readonly fixture: Fixture) {
    fixture.node.script = (stream) => {
      this.order.push(/\w+(?=\n$)/.exec(stream.promptText)![0]);
      this.#running.push(stream);
    };
  }

  get waitingCount(): number {
    return this.fixture.gateway.services.dispatcher.waitingCount;
  }

  ask(name: string, headers: Record<string, string> = {}, signal?: AbortSignal) {
    const messages = [{ role: "user", content: name }];
    const authorization = `Bearer ${keyOf(name[0]!)}`;
    const response = this.fixture.chat({ messages }, {
      headers: { authorization, ...headers },
      signal,
    });
    return response;
  }

  /** Asks in order: each waits before the next is asked. */
  async askAll(names: string[]): Promise<Array<Promise<Response>>> {
    const responses: Array<Promise<Response>> = [];
    for (const name of names) {
      const before = this.waitingCount + this.order.length;
      responses.push(this.ask(name));
      await waitUntil(() => this.waitingCount + this.order.length > before, `${name} asked`);
    }
    return responses;
  }

  /** Answers all, one after another. */
  async answerAll(responses: Array<Promise<Response>>): Promise<void> {
    const timer = setInterval(() => {
      const stream = this.#running.shift();
      stream?.text("done");
      stream?.finish();
    }, 1);
    const statuses = await Promise.all(responses.map(async (each) => statusOf(await each)));
    clearInterval(timer);
    assert.ok(statuses.every((status) => status === 200), statuses.join());
  }
}

function withSlowNode(
  act: (slow: Slow) => Promise<void>,
  args: string[] = [],
  keys: Record<string, Record<string, unknown>> = {},
): Promise<void> {
  const entries = ["a", "b", "c"].map((tenant) => ({
    tenant,
    sha256: createHash("sha256").update(keyOf(tenant)).digest("hex"),
    ...keys[tenant],
  }));
  const file = readConfig(JSON.stringify({ keys: entries }), new Map());
  return withGateway((fixture) => act(new Slow(fixture)), {
    nodes: [{ slotsMax: 1, queueMax: 0 }],
    args,
    adjust: (options) => options.keys = file.keys,
  });
}

Deno.test("requests past the slots wait here, and tenants take turns", async () => {
  await withSlowNode(async (slow) => {
    const responses = await slow.askAll(["a1", "a2", "a3", "a4", "b1", "b2", "c1"]);
    assert.equal(slow.waitingCount, 6);
    assert.deepEqual(slow.order, ["a1"]);
    await slow.answerAll(responses);
    assert.equal(slow.order.join(" "), "a1 a2 b1 c1 a3 b2 a4");
  });
});

Deno.test("a key's priority goes first; a request may lower its own, not raise it", async () => {
  await withSlowNode(
    async (slow) => {
      const responses = await slow.askAll(["a1", "a2", "b1"]);
      const low = slow.ask("c1", { "x-redraft-priority": "0" });
      await waitUntil(() => slow.waitingCount === 3, "c1 asked");
      const raised = slow.ask("b2", { "x-redraft-priority": "100" });
      await waitUntil(() => slow.waitingCount === 4, "b2 asked");
      const high = slow.ask("c2");
      await waitUntil(() => slow.waitingCount === 5, "c2 asked");
      assert.equal(await statusOf(await slow.ask("c3", { "x-redraft-priority": "101" })), 400);
      await slow.answerAll([...responses, low, raised, high]);
      assert.equal(slow.order[1], "c2");
      assert.ok(slow.fixture.node.submits[1]!.priority === 7);
    },
    [],
    { c: { priority: 7 } },
  );
});

Deno.test("a full queue is a 429 that says when to come back", async () => {
  await withSlowNode(async (slow) => {
    const responses = await slow.askAll(["a1", "a2", "a3"]);
    const refused = await slow.ask("a4");
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    assert.equal((await refused.json()).error.code, "queue_full");
    // Another tenant gets a place that the first one has too many of.
    responses.push(slow.ask("b1"));
    const [, , displaced] = responses;
    assert.equal(await statusOf(await displaced!), 429);
    await slow.answerAll(responses.filter((each) => each !== displaced));
  }, ["--queue-max", "2"]);
});

Deno.test("who waits too long gets a 503 that says when to come back", async () => {
  await withSlowNode(async (slow) => {
    const [first, second] = await slow.askAll(["a1", "a2"]);
    const late = await second!;
    assert.equal(late.status, 503);
    assert.ok(Number(late.headers.get("retry-after")) >= 1);
    assert.equal((await late.json()).error.code, "queue_timeout");
    await slow.answerAll([first!]);
    assert.deepEqual(slow.order, ["a1"]);
  }, ["--queue-timeout-s", "1"]);
});

Deno.test("a client that leaves while it waits leaves nothing behind", async () => {
  await withSlowNode(async (slow) => {
    const leaver = new AbortController();
    const [first] = await slow.askAll(["a1"]);
    const left = slow.ask("a2", {}, leaver.signal).catch(() => "left");
    await waitUntil(() => slow.waitingCount === 1, "a2 waits");
    leaver.abort();
    assert.equal(await left, "left");
    await waitUntil(() => slow.waitingCount === 0, "a2 gone");
    await slow.answerAll([first!]);
    assert.equal(slow.fixture.gateway.services.activeCount, 0);
    assert.deepEqual(slow.order, ["a1"]);
  });
});

Deno.test("a stream that lost its node goes before all who wait", async () => {
  await withSlowNode(async (slow) => {
    const responses = await slow.askAll(["a1", "b1"]);
    slow.fixture.node.dropConnection();
    await waitUntil(() => slow.order.length === 2, "resubmitted");
    await slow.answerAll(responses);
    assert.deepEqual(slow.order, ["a1", "a1", "b1"]);
  });
});

Deno.test("far more than fits: some answers, and for all else a time to come back", async () => {
  await withGateway(async ({ chat, node, gateway, url }) => {
    node.script = (stream) => {
      setTimeout(() => {
        stream.text("done");
        stream.finish();
      }, 20);
    };
    const { dispatcher } = gateway.services;
    const statuses = new Map<number, number>();
    await Promise.all(Array.from({ length: 200 }, async (_, seed) => {
      await new Promise((resolve) => setTimeout(resolve, seed * 4));
      const response = await chat({ seed });
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      assert.ok(dispatcher.waitingCount <= 10);
      if (response.status !== 200) assert.ok(Number(response.headers.get("retry-after")) >= 1);
      await response.body?.cancel();
    }));
    assert.deepEqual(
      [...statuses.keys()].filter((status) => ![200, 429, 503].includes(status)),
      [],
    );
    assert.ok(statuses.get(200)! > 10 && statuses.get(429)! > 10, JSON.stringify([...statuses]));
    assert.equal(dispatcher.waitingCount, 0);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    const shed = Number(/^redraft_gateway_shed_total\{reason="full"\} (.*)$/m.exec(metrics)![1]);
    assert.ok(shed > 10 && shed <= 200 - statuses.get(200)!);
  }, { nodes: [{ slotsMax: 2, queueMax: 0 }], args: ["--queue-max", "10"] });
});
