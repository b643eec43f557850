import { FakeEngine } from "../../gpu-node/engine_fake.ts";
import { startStepEngine } from "../../gpu-node/engine_step.ts";
import { testEngine } from "./engine_conformance.ts";

Deno.test("the fake engine conforms", (t) =>
  testEngine(
    t,
    (bounds, scheduling) => startStepEngine(new FakeEngine(bounds), scheduling),
  ));
