import assert from "node:assert/strict";
import { formatTraceparent, parseTraceparent } from "../../proto/traceparent.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

Deno.test("a traceparent is read as the standard says, and written back", () => {
  const text = `00-${TRACE}-${SPAN}-01`;
  const parent = parseTraceparent(text)!;
  assert.deepEqual(parent, { traceId: TRACE, spanId: SPAN, traceFlags: 1 });
  assert.equal(formatTraceparent(parent), text);
  assert.deepEqual(parseTraceparent(`cc-${TRACE}-${SPAN}-00-what-comes-later`), {
    ...parent,
    traceFlags: 0,
  });
  assert.equal(formatTraceparent({ ...parent, traceId: "0".repeat(32) }), "");
});

Deno.test("what is no traceparent is none", () => {
  const wrong = [
    "",
    "hello",
    `ff-${TRACE}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${"0".repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${"0".repeat(16)}-01`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01\n`,
    `01-${TRACE}-${SPAN}-01-${"x".repeat(200)}`,
  ];
  for (const text of wrong) assert.equal(parseTraceparent(text), undefined, JSON.stringify(text));
});
