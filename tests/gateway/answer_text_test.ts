import assert from "node:assert/strict";
import fc from "fast-check";
import { AnswerText } from "../../gateway/answer_text.ts";
import { byteText, encodeBytes } from "../support/scripted_gateway.ts";

const logprob = (i: number) => ({ logprob: -i, top: [] });

Deno.test("text, entries and counts are the same however tokens are framed", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 }).map((s) => s.toWellFormed());
  const stop = fc.constantFrom([], ["a"], ["b c"], ["é", "ab"]);
  fc.assert(fc.property(text, stop, fc.nat({ max: 7 }), (text, stops, size) => {
    const tokens = [...encodeBytes(text)];
    const run = (frame: number) => {
      const answer = new AnswerText(byteText(), stops);
      let shown = "";
      let count = 0;
      const starts: number[] = [];
      let stopped = false;
      for (let i = 0; i < tokens.length && !stopped; i += frame) {
        const slice = tokens.slice(i, i + frame);
        const part = answer.push(slice, slice.map((_, k) => logprob(i + k)));
        shown += part.text;
        count += part.tokenCount;
        starts.push(...part.entries.map((entry) => entry.textStart));
        stopped = part.stopped;
      }
      if (!stopped) {
        const rest = answer.flush();
        shown += rest.text;
        starts.push(...rest.entries.map((entry) => entry.textStart));
      }
      return { shown, count, starts, stopped };
    };
    assert.deepEqual(run(size + 1), run(1));
    const whole = run(1);
    if (!whole.stopped) {
      assert.equal(whole.shown, text);
      assert.equal(whole.starts.length, tokens.length);
    }
  }));
});

Deno.test("a token is part of the answer only if something of it is shown", () => {
  const answer = new AnswerText(byteText(), ["END"]);
  const part = answer.push([...encodeBytes("abENDx")], [1, 2, 3, 4, 5, 6].map(logprob));
  assert.equal(part.text, "ab");
  assert.equal(part.tokenCount, 5);
  assert.deepEqual(part.entries.map((entry) => entry.logprob), [-1, -2]);
  assert.ok(part.stopped);
});

Deno.test("half a character at the end becomes U+FFFD", () => {
  const answer = new AnswerText(byteText(), []);
  assert.equal(answer.push([0x61, 0xc3], []).text, "a");
  assert.equal(answer.flush().text, "\ufffd");
});
