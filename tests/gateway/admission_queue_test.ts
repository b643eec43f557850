import assert from "node:assert/strict";
import fc from "fast-check";
import { AdmissionQueue, DrainRate, type Waiting } from "../../gateway/admission_queue.ts";
import { Circuit, RetryBudget } from "../../gateway/circuit.ts";

interface Item extends Waiting {
  name: string;
}

const item = (name: string, more: Partial<Waiting> = {}): Item => ({
  name,
  tenant: name[0]!,
  priority: 0,
  cost: 10,
  ...more,
});

function drained(queue: AdmissionQueue<Item>): string {
  const names: string[] = [];
  for (let next = queue.take(); next !== undefined; next = queue.take()) names.push(next.name);
  assert.equal(queue.size, 0);
  return names.join(" ");
}

function filled(names: string[], sizeMax = 100): AdmissionQueue<Item> {
  const queue = new AdmissionQueue<Item>(sizeMax);
  for (const name of names) queue.push(item(name));
  return queue;
}

Deno.test("tenants take turns, each in the order of its own requests", () => {
  assert.equal(drained(filled(["a1", "a2", "a3", "a4", "b1", "c1", "b2"])), "a1 b1 c1 a2 b2 a3 a4");
});

Deno.test("who asks for more waits for more turns", () => {
  const queue = new AdmissionQueue<Item>(100);
  for (let i = 0; i < 3; ++i) queue.push(item(`a${i}`, { cost: 30 }));
  for (let i = 0; i < 6; ++i) queue.push(item(`b${i}`, { cost: 10 }));
  assert.equal(drained(queue), "a0 b0 b1 b2 a1 b3 b4 b5 a2");
});

Deno.test("a tenant that idled saves nothing up", () => {
  const queue = filled(["a1", "a2", "a3", "a4"]);
  queue.take();
  queue.take();
  queue.push(item("b1"));
  queue.push(item("b2"));
  queue.push(item("b3"));
  // Had b been credited for its silence, its three would all come first.
  assert.equal(drained(queue), "b1 a3 b2 a4 b3");
});

Deno.test("the higher priority goes first", () => {
  const queue = filled(["a1", "b1"]);
  queue.push(item("c1", { priority: 5 }));
  queue.push(item("a2", { priority: 9 }));
  assert.equal(drained(queue), "a2 c1 a1 b1");
});

Deno.test("a full queue turns away whoever has most waiting, or is of lowest priority", () => {
  const queue = filled(["a1", "a2", "a3", "b1"], 4);
  assert.equal(queue.push(item("a4"))?.name, "a4");
  assert.equal(queue.push(item("b2"))?.name, "a3");
  assert.equal(queue.push(item("b3"))?.name, "b3");
  assert.equal(queue.push(item("c1", { priority: 1 }))?.name, "a2");
  assert.equal(queue.push(item("a5", { priority: 1 }))?.name, "b2");
  assert.equal(queue.size, 4);
  assert.equal(drained(queue), "c1 a5 a1 b1");
  assert.equal(new AdmissionQueue<Item>(0).push(item("a1"))?.name, "a1");
});

Deno.test("whatever comes and goes: bounded, nothing lost, nothing twice, fair", () => {
  const action = fc.oneof(
    fc.record({
      kind: fc.constant("push" as const),
      tenant: fc.constantFrom("a", "b", "c"),
      priority: fc.nat(2),
      cost: fc.integer({ min: 1, max: 100 }),
    }),
    fc.record({ kind: fc.constant("take" as const) }),
    fc.record({ kind: fc.constant("remove" as const), at: fc.nat(10) }),
  );
  fc.assert(fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
    const queue = new AdmissionQueue<Item>(8);
    const waiting = new Set<Item>();
    for (const [i, act] of actions.entries()) {
      if (act.kind === "push") {
        const pushed = item(`${act.tenant}${i}`, act);
        const shed = queue.push(pushed);
        waiting.add(pushed);
        if (shed !== undefined) assert.ok(waiting.delete(shed));
        assert.ok(shed === undefined || shed.priority <= act.priority);
      } else if (act.kind === "take") {
        const peeked = queue.peek();
        const taken = queue.take();
        assert.equal(taken, peeked);
        if (taken === undefined) assert.equal(waiting.size, 0);
        else assert.ok(waiting.delete(taken));
        for (const other of waiting) assert.ok(other.priority <= taken!.priority);
      } else {
        const chosen = [...waiting][act.at];
        if (chosen === undefined) continue;
        assert.ok(queue.remove(chosen));
        assert.ok(!queue.remove(chosen));
        waiting.delete(chosen);
      }
      assert.equal(queue.size, waiting.size);
      assert.ok(queue.size <= 8);
      assert.deepEqual(new Set(queue), waiting);
    }
  }));
});

Deno.test("a flood of one tenant leaves another its half", () => {
  const queue = new AdmissionQueue<Item>(20);
  let served = { a: 0, b: 0 };
  for (let i = 0; i < 400; ++i) {
    for (let j = 0; j < 10; ++j) queue.push(item(`a${i}.${j}`));
    queue.push(item(`b${i}`));
    const [first, second] = [queue.take()!, queue.take()!];
    for (const { tenant } of [first, second]) served[tenant as "a" | "b"]++;
    if (i === 50) served = { a: 0, b: 0 };
  }
  assert.deepEqual(served, { a: 349, b: 349 });
});

Deno.test("who asks one by one has what it asked for counted all the same", () => {
  const queue = new AdmissionQueue<Item>(100);
  let served = 0;
  for (let i = 0; i < 220; ++i) {
    queue.push(item(`a${i}`, { cost: 10 }));
    queue.push(item(`a${i}+`, { cost: 10 }));
    if (![...queue].some(({ tenant }) => tenant === "b")) queue.push(item("b", { cost: 100 }));
    if (queue.take()!.tenant === "b") ++served;
  }
  assert.ok(served >= 19 && served <= 21, String(served));
});

Deno.test("a queue's rate is known once it has moved for a while", () => {
  const rate = new DrainRate(0);
  assert.equal(rate.perSecond(5000), undefined);
  for (let now = 100; now <= 3000; now += 100) rate.taken(now);
  assert.ok(Math.abs(rate.perSecond(3000)! - 10) < 0.5, String(rate.perSecond(3000)));
  assert.ok(rate.perSecond(30_000)! < 1);
});

Deno.test("a circuit opens after failures in a row and closes after one success", () => {
  const circuit = new Circuit();
  for (let i = 0; i < 4; ++i) circuit.failed(0, 1);
  circuit.succeeded();
  for (let i = 0; i < 4; ++i) circuit.failed(0, 1);
  assert.equal(circuit.state(0), "closed");
  circuit.failed(0, 1);
  assert.equal(circuit.state(4999), "open");
  assert.ok(circuit.isSuspect(4999));
  assert.equal(circuit.state(5000), "half-open");
  assert.ok(!circuit.isSuspect(5000));
  circuit.started(5000);
  assert.ok(circuit.isSuspect(5000)); // One request at a time tries.
  circuit.unknown();
  assert.ok(!circuit.isSuspect(5000));
  circuit.started(5000);
  circuit.failed(5001, 1);
  assert.equal(circuit.state(15_000), "open"); // Twice as long as before.
  assert.equal(circuit.state(15_001), "half-open");
  circuit.succeeded();
  assert.equal(circuit.state(15_001), "closed");
});

Deno.test("a circuit never stays open for ever", () => {
  const circuit = new Circuit();
  let now = 0;
  for (let i = 0; i < 100; ++i) {
    circuit.failed(now, 0.9);
    now += 60_000;
    assert.notEqual(circuit.state(now), "open");
  }
});

Deno.test("retries are at most a fifth of requests, beside a few", () => {
  const budget = new RetryBudget();
  let taken = 0;
  for (let i = 0; i < 1000; ++i) {
    budget.request();
    if (budget.take()) ++taken;
  }
  assert.ok(taken >= 200 && taken <= 211, String(taken));
});
