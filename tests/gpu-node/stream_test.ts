import assert from "node:assert/strict";
import fc from "fast-check";
import type { Frame } from "../../proto/frame.ts";
import type { EngineEvent, SequenceFinish } from "../../gpu-node/engine.ts";
import { requestOf, Stream } from "../../gpu-node/stream.ts";
import { submitFrame } from "../proto/frames.ts";

const FINISH: SequenceFinish = {
  reason: "length",
  promptCount: 3,
  generatedCount: 4,
  cachedCount: 0,
  draftedCount: 0,
  acceptedCount: 0,
  stepCount: 2,
  queueMs: 0,
  contextMs: 0,
  generationMs: 0,
};

function step(...tokens: number[]): EngineEvent {
  return {
    kind: "step",
    id: 1,
    step: { tokens, logprobs: [], draftedCount: 3, acceptedCount: 1, tree: [] },
  };
}

/** A stream and what it did. */
function openStream(credit: number) {
  const frames: Frame[] = [];
  const pauses: boolean[] = [];
  let ends = 0;
  const stream = new Stream(7, credit, {
    send: (frame) => frames.push(frame),
    setPaused: (paused) => pauses.push(paused),
    end: () => ends++,
  });
  stream.start();
  const tokens = () => frames.flatMap((frame) => frame.kind === "tokens" ? frame.tokens : []);
  return { stream, frames, pauses, tokens, ends: () => ends };
}

Deno.test("a stream sends what its credit allows and pauses", () => {
  const { stream, frames, pauses, tokens, ends } = openStream(3);
  stream.take(step(1, 2));
  stream.take(step(3, 4));
  assert.deepEqual(tokens(), [1, 2, 3]);
  assert.deepEqual(pauses, [true]);
  stream.take({ kind: "finish", id: 1, finish: FINISH });
  assert.equal(ends(), 0, "the end waits for the tokens before it");
  stream.addCredit(5);
  assert.deepEqual(tokens(), [1, 2, 3, 4]);
  assert.equal(frames.at(-1)?.kind, "finish");
  assert.equal(ends(), 1);
  const indexes = frames.flatMap((frame) => frame.kind === "tokens" ? [frame.firstIndex] : []);
  assert.deepEqual(indexes, [0, 2, 3]);
});

Deno.test("a stream without credit starts paused, and credit lets it go", () => {
  const { stream, pauses } = openStream(0);
  assert.deepEqual(pauses, [true]);
  stream.addCredit(1);
  assert.deepEqual(pauses, [true, false]);
});

Deno.test("a congested socket pauses a stream that has credit", () => {
  const { stream, pauses, tokens } = openStream(10);
  stream.setCongested(true);
  stream.take(step(1));
  assert.deepEqual(tokens(), []);
  stream.setCongested(false);
  assert.deepEqual(tokens(), [1]);
  assert.deepEqual(pauses, [true, false]);
});

Deno.test("a step without tokens is still told of", () => {
  const { stream, frames } = openStream(0);
  stream.take(step());
  const [frame] = frames;
  assert(frame.kind === "tokens" && frame.tokens.length === 0);
  assert.equal(frame.steps[0].draftedCount, 3);
});

Deno.test("a failure goes out at once, with what it does not need credit for", () => {
  const { stream, frames, ends } = openStream(1);
  stream.take(step(1, 2));
  const failure = { code: "engine", message: "gone", replaySafe: false } as const;
  stream.take({ kind: "failure", id: 1, ...failure });
  assert.deepEqual(frames.at(-1), { kind: "failure", streamId: 7, ...failure });
  assert.equal(ends(), 1);
});

Deno.test("no token is lost, doubled or sent without credit", () => {
  const act = fc.oneof(fc.nat(5).map((n) => ["take", n]), fc.nat(8).map((n) => ["credit", n + 1]));
  fc.assert(fc.property(fc.array(act, { maxLength: 60 }), fc.nat(4), (acts, credit) => {
    const { stream, tokens, pauses } = openStream(credit);
    let granted = credit;
    let next = 0;
    for (const [what, n] of acts as [string, number][]) {
      if (what === "credit") {
        stream.addCredit(n);
        granted += n;
      } else if (pauses.at(-1) !== true) {
        stream.take(step(...Array.from({ length: n }, () => next++)));
      }
      assert(tokens().length <= granted);
      assert.deepEqual(tokens(), Array.from({ length: tokens().length }, (_, i) => i));
    }
    stream.addCredit(1000);
    assert.equal(tokens().length, next);
  }));
});

Deno.test("requestOf() turns a Submit into the engine's request", () => {
  const request = requestOf(submitFrame({ deadlineMs: 50 }), 3, 100);
  assert.equal(request.id, 3);
  assert.equal(request.deadline, 150);
  assert.equal(request.budget, undefined);
  assert.equal(requestOf(submitFrame(), 3, 100).deadline, Infinity);
  const speculation = { mode: "off", beamWidth: 0, beamLength: 0, packedMax: 0, wantTree: true };
  const off = requestOf(submitFrame({ speculation: { ...speculation, mode: "off" } }), 3, 0);
  assert.equal(off.budget?.packedMax, 0);
  assert.equal(off.wantTree, true);
});
