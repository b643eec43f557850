/** The step loop's own: when it sleeps and what wakes it. @module */
import assert from "node:assert/strict";
import { FakeEngine } from "../../gpu-node/engine_fake.ts";
import { startStepEngine } from "../../gpu-node/engine_step.ts";
import { ROOMY } from "./engine_conformance.ts";
import { sequenceRequest } from "./requests.ts";

/** More than the loop ever takes from one step to its sleep. */
const MICROTASKS = 40;

Deno.test("no submission is lost, at whatever moment it comes", async () => {
  for (let delay = 0; delay < MICROTASKS; delay++) {
    const engine = await startStepEngine(new FakeEngine(ROOMY));
    // The first brings the loop to its end; the second comes while it goes to sleep.
    const ended = Promise.withResolvers<void>();
    engine.submit(sequenceRequest({ id: 1, tokensMax: 1 }), ({ kind }) => {
      if (kind === "finish") ended.resolve();
    });
    await ended.promise;
    for (let i = 0; i < delay; i++) await Promise.resolve();
    const again = Promise.withResolvers<boolean>();
    engine.submit(sequenceRequest({ id: 2, tokensMax: 1 }), ({ kind }) => {
      if (kind === "finish") again.resolve(true);
    });
    const timer = setTimeout(() => again.resolve(false), 2000);
    assert.ok(await again.promise, `lost after ${delay} microtasks`);
    clearTimeout(timer);
    await engine.close();
  }
});

Deno.test("engines that take turns each get theirs, and close while they wait for it", async () => {
  const order: string[] = [];
  let taken = Promise.resolve();
  const turnsOf = (name: string) => async () => {
    const before = taken;
    const { promise, resolve } = Promise.withResolvers<void>();
    taken = promise;
    await before;
    order.push(name);
    return resolve;
  };
  const engines = await Promise.all(
    ["a", "b"].map((name) => startStepEngine(new FakeEngine(ROOMY), { takeTurn: turnsOf(name) })),
  );
  await Promise.all(
    engines.map((engine) =>
      new Promise<void>((resolve) =>
        engine.submit(sequenceRequest({ id: 1, tokensMax: 5 }), ({ kind }) => {
          if (kind === "finish") resolve();
        })
      )
    ),
  );
  assert.ok(order.filter((name) => name === "a").length >= 5, order.join(""));
  assert.match(order.join(""), /(ab){3}|(ba){3}/);
  await Promise.all(engines.map((engine) => engine.close()));
});
