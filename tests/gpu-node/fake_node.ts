/** A node over the fake, with its server, for tests over real sockets. @module */

import assert from "node:assert/strict";
import { FakeEngine, type FakeOptions } from "../../gpu-node/engine_fake.ts";
import { startStepEngine, type StepEngine } from "../../gpu-node/engine_step.ts";
import { NodeServer, type ServerOptions } from "../../gpu-node/server.ts";
import type { SubmitFrame } from "../../proto/frame.ts";
import { submitFrame } from "../proto/frames.ts";
import { promptTokens } from "./requests.ts";

export interface TestNode {
  fake: FakeEngine;
  engine: StepEngine;
  server: NodeServer;
  port: number;
}

/** Runs `act` against a node, and checks afterwards that nothing of it is left. */
export async function withNode(
  act: (node: TestNode) => Promise<void>,
  fakeOptions: FakeOptions = {},
  options: ServerOptions = {},
): Promise<void> {
  const fake = new FakeEngine({ stepMs: 1, ...fakeOptions });
  const engine = await startStepEngine(fake, { queueMax: 4 });
  const server = await NodeServer.listen(engine, { queueMax: 4, ...options });
  try {
    await act({ fake, engine, server, port: server.port });
    await idle(engine);
  } finally {
    await engine.close();
    await server.close();
  }
}

/** Waits until no sequence holds anything. */
export async function idle(engine: StepEngine): Promise<void> {
  for (let i = 0; i < 400; i++) {
    const { slotsBusy, queueCount, pagesFree, pagesMax } = engine.status();
    if (slotsBusy + queueCount === 0 && pagesFree === pagesMax) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.fail(`the engine still holds ${JSON.stringify(engine.status())}`);
}

/** A Submit that the fake runs to its length limit. */
export const submit = (changes: Partial<SubmitFrame> = {}): SubmitFrame =>
  submitFrame({
    tokens: promptTokens(20, 1),
    generatedCount: 0,
    tokensMax: 40,
    stopTokens: [],
    credit: 1000,
    ...changes,
  });
