import assert from "node:assert/strict";
import { readSuite } from "../../tools/test_counts.ts";

Deno.test("readSuite() counts what each runner prints", () => {
  const counts = (kind: Parameters<typeof readSuite>[0], code: number, output: string) => {
    const { passed, failed, skipped } = readSuite(kind, code, output);
    return [passed, failed, skipped];
  };
  assert.deepEqual(counts("deno", 0, "\nok | 12 passed (3 steps) | 0 failed (2s)\n"), [12, 0, 0]);
  assert.deepEqual(
    counts("deno", 1, "\x1b[31mFAILED\x1b[0m | 4 passed | 2 failed | 1 ignored (1s)\n"),
    [4, 2, 1],
  );
  assert.deepEqual(counts("kernels", 0, "ok  A.B\n7 passed, 0 failed\n"), [7, 0, 0]);
  assert.deepEqual(
    counts(
      "cargo",
      0,
      "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\n" +
        "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\n",
    ),
    [5, 0, 1],
  );
  assert.deepEqual(counts("pytest", 1, "1 failed, 5 passed, 2 skipped in 0.52s\n"), [5, 1, 2]);
  assert.deepEqual(counts("pytest", 0, "9 passed, 1 warning in 3.10s\n"), [9, 0, 0]);
});

Deno.test("readSuite() counts a suite that crashed or ran nothing as a failure", () => {
  assert.equal(readSuite("kernels", 139, "3 passed, 0 failed\n").problem, "ended with status 139");
  assert.equal(readSuite("kernels", 139, "").failed, 1);
  assert.equal(readSuite("deno", 0, "ok | 0 passed | 0 failed (1s)\n").problem, "ran no test");
  assert.equal(readSuite("pytest", 5, "no tests ran in 0.01s\n").failed, 1);
  assert.equal(readSuite("cargo", 0, "").failed, 1);
});
