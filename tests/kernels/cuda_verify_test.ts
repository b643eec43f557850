/** Speculation changes no token on the CUDA engine: a cut of the default model, its first two
 * layers and its whole vocabulary, on a simulated device. @module */
import assert from "node:assert/strict";
import { pullModel } from "../../tools/pull_model.ts";
import { HEAD, PROMPTS, verifySimulated } from "../gpu/verify_simulated.ts";
import { writeCut } from "../support/cut_model.ts";

Deno.test("verify finds no token that speculation changes on a simulated device", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const cut = await writeCut(folder, { model: await pullModel(), head: HEAD, layerCount: 2 });
    const verified = await verifySimulated({ ...cut, prompts: PROMPTS, tokensMax: 32 });
    assert.equal(verified.sequences, 20);
    assert.equal(verified.tokens, 640);
    assert.equal(verified.differing_tokens, 0);
    assert(verified.drafted > 640, `${verified.drafted} drafted`);
    assert(verified.accepted > 0, "the head's drafts or lookups were right somewhere");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
