import assert from "node:assert/strict";
import fc from "fast-check";
import { StopScanner } from "../../gateway/stop_scanner.ts";

function scan(stops: string[], pieces: string[]): { text: string; stopped: boolean } {
  const scanner = new StopScanner(stops);
  let text = "";
  for (const piece of pieces) {
    const scanned = scanner.push(piece);
    text += scanned.text;
    if (scanned.stopped) return { text, stopped: true };
  }
  return { text: text + scanner.flush(), stopped: false };
}

/** The plain definition: of all occurrences the one that ends first, of those the longest. */
function reference(stops: string[], text: string): { text: string; stopped: boolean } {
  for (let end = 1; end <= text.length; ++end) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop));
    if (found.length === 0) continue;
    const longest = Math.max(...found.map((stop) => stop.length));
    return { text: text.slice(0, end - longest), stopped: true };
  }
  return { text, stopped: false };
}

Deno.test("however the text is cut, the answer ends where the definition says", () => {
  const letters = (length: { minLength?: number; maxLength: number }) =>
    fc.array(fc.constantFrom("a", "b", "c"), length).map((chars) => chars.join(""));
  fc.assert(
    fc.property(
      fc.array(letters({ minLength: 1, maxLength: 5 }), { maxLength: 4 }),
      fc.array(letters({ maxLength: 4 }), { maxLength: 12 }),
      (stops, pieces) => {
        assert.deepEqual(scan(stops, pieces), reference(stops, pieces.join("")));
      },
    ),
    { numRuns: 2000 },
  );
});

Deno.test("text is held back only while it may become a stop string", () => {
  const scanner = new StopScanner(["END"]);
  assert.deepEqual(scanner.push("one E"), { text: "one ", stopped: false });
  assert.deepEqual(scanner.push("N"), { text: "", stopped: false });
  assert.deepEqual(scanner.push("emy"), { text: "ENemy", stopped: false });
  assert.equal(scanner.flush(), "");
});

Deno.test("a stop string within another ends the answer at the one complete first", () => {
  assert.deepEqual(scan(["abcd", "bc"], ["ab", "cd"]), { text: "a", stopped: true });
  assert.deepEqual(scan(["abc", "bc"], ["xabc"]), { text: "x", stopped: true });
});

Deno.test("pathological stop strings take linear time", () => {
  const stops = ["a".repeat(255) + "b", "a".repeat(128) + "b", "ab".repeat(128), "ba".repeat(127)];
  const startedAt = performance.now();
  const { stopped } = scan(stops, Array(2000).fill("a".repeat(100)));
  assert.equal(stopped, false);
  assert.ok(performance.now() - startedAt < 2000);
});
