import assert from "node:assert/strict";
import fc from "fast-check";
import { type AnswerEvent, ToolCallScanner } from "../../gateway/tool_call_scanner.ts";

const NAMES = ["get_weather", "add"];

interface Read {
  text: string;
  calls: Array<{ name: string; arguments: string }>;
}

/** What a reader makes of the events of an answer that came in these pieces. */
function read(pieces: readonly string[], isCut = false, isForced = false): Read {
  let count = 0;
  const scanner = new ToolCallScanner(NAMES, { isForced, newId: () => `call_${count++}` });
  const seen: Read = { text: "", calls: [] };
  const take = (events: AnswerEvent[]) => {
    for (const event of events) {
      if (event.kind === "text") seen.text += event.text;
      else if (event.kind === "call") {
        assert.equal(event.index, seen.calls.length);
        assert.equal(event.id, `call_${event.index}`);
        seen.calls.push({ name: event.name, arguments: "" });
      } else {
        assert.equal(event.index, seen.calls.length - 1, "arguments belong to the last call");
        seen.calls.at(-1)!.arguments += event.text;
      }
    }
  };
  for (const piece of pieces) take(scanner.push(piece));
  take(scanner.flush(isCut));
  assert.deepEqual(scanner.calls.map(({ id: _, ...call }) => call), seen.calls);
  return seen;
}

const call = (name: string, values: string) =>
  `<tool_call>\n{"name": "${name}", "arguments": ${values}}\n</tool_call>`;
const VALUES = '{"city": "a \\"}</tool_call> b", "days": [1, {"x": 2}]}';
const WEATHER = call("get_weather", VALUES);
const ADD = call("add", '{"a":1}');

Deno.test("text and calls come apart", () => {
  const weather = { name: "get_weather", arguments: VALUES };
  JSON.parse(VALUES);
  const add = { name: "add", arguments: '{"a":1}' };
  for (
    const [answer, text, calls] of [
      ["Hello.", "Hello.", []],
      [WEATHER, "", [weather]],
      [`Wait.\n\n${WEATHER}\n${ADD}`, "Wait.", [weather, add]],
      [`${ADD}\nDone.`, "\nDone.", [add]],
      ['<tool_call>{"arguments": {"a": 1}, "name": "add"}</tool_call>', "", [add]],
      // No closing mark: cut short, or a model that writes none.
      [ADD.slice(0, -12), "", [add]],
      [ADD.slice(0, -15), "", [{ name: "add", arguments: '{"a":1' }]],
    ] as const
  ) {
    assert.deepEqual(read([answer]), { text, calls: [...calls] }, answer);
  }
});

Deno.test("what is no call of a tool that was offered stays text", () => {
  for (
    const answer of [
      call("rm", '{"path": "/"}'),
      "<tool_call>\nnot JSON\n</tool_call>",
      '<tool_call>{"name": "add", "arguments": 7}</tool_call>',
      '<tool_call>\n{"name": "ad',
      "a < b, <tool_cal and <tool_",
      "  \n ",
    ]
  ) assert.deepEqual(read([answer]), { text: answer, calls: [] });
});

Deno.test("of a call that is cut before its name nothing is shown", () => {
  const add = { name: "add", arguments: '{"a":1}' };
  for (const head of ["<tool_", "<tool_call>", "<tool_call>\n", '<tool_call>\n{"name": "']) {
    assert.deepEqual(read([head], true), { text: "", calls: [] }, head);
    assert.deepEqual(read([`Wait.\n\n${head}`], true), { text: "Wait.", calls: [] });
    assert.deepEqual(read([`${ADD}\n${head}`], true), { text: "", calls: [add] });
  }
  // Calls alone follow calls, and nothing but calls is in an answer that is held to them.
  assert.deepEqual(read([`${ADD}\n<`], true), { text: "", calls: [add] });
  for (const isCut of [true, false]) {
    for (const head of ["<", "\n", "<tool_call>", '<tool_call>{"na']) {
      assert.deepEqual(read([head], isCut, true), { text: "", calls: [] });
      assert.deepEqual(read([ADD, `\n${head}`], isCut, true), { text: "", calls: [add] });
    }
  }
  for (const text of ["a < b, <", "<tool", "<tool_call> is a marker", "<tool_call>\nnot"]) {
    assert.deepEqual(read([text], true), { text, calls: [] }, text);
  }
});

Deno.test("how an answer is cut into pieces changes nothing", () => {
  const part = fc.constantFrom(
    ...["Hi ", "\n\n", "<", "<tool_call>", "</tool_call>", WEATHER, ADD, "{", '"', "\\", "é🙂"],
    ...[call("rm", "{}"), ADD.slice(0, 20), ADD.slice(20), " ".repeat(70)],
  );
  const cuts = fc.array(fc.nat(400), { maxLength: 30 });
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), cuts, (parts, cuts) => {
      const answer = parts.join("");
      const places = [...new Set(cuts.map((cut) => cut % (answer.length + 1)))];
      const at = [0, ...places.sort((a, b) => a - b), answer.length];
      const pieces = at.slice(1).map((end, i) => answer.slice(at[i], end));
      assert.equal(pieces.join(""), answer);
      for (const isCut of [false, true]) {
        assert.deepEqual(read(pieces, isCut), read([answer], isCut));
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("a call that never comes to its name does not hold the answer back for ever", () => {
  const scanner = new ToolCallScanner(NAMES);
  scanner.push("<tool_call>");
  let shown = "";
  const startedAt = performance.now();
  for (let i = 0; i < 20_000; i++) {
    for (const event of scanner.push("abcd ")) if (event.kind === "text") shown += event.text;
  }
  assert(shown.length > 80_000);
  assert(performance.now() - startedAt < 2000, "in linear time");
});
