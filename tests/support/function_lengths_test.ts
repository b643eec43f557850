import assert from "node:assert/strict";
import { functionLengths } from "./function_lengths.ts";

const lengths = (code: string) => functionLengths(code).map(({ lineCount }) => lineCount);

Deno.test("functionLengths() sees functions of both languages, and no other blocks", () => {
  assert.deepEqual(lengths("function a() {\n  return 1;\n}"), [3]);
  assert.deepEqual(lengths("const a = (b: number): Promise<void> => {\n\n};"), [3]);
  assert.deepEqual(lengths("class A {\n  b(): string[] {\n  }\n}"), [2]);
  assert.deepEqual(lengths("int a(const T& b) const noexcept {\n\n\n}"), [4]);
  assert.deepEqual(lengths("A::A(int b) : b_(b), c_(1) {\n}"), [2]);
  assert.deepEqual(lengths("if (a) {\n\n}\nfor (;;) {\n}\nstruct A {\n};\nnamespace b {\n}"), []);
  assert.deepEqual(lengths("const a = { b: 1 };\ninterface C {\n  d: number;\n}"), []);
});

Deno.test("functionLengths() counts a function within a function for both", () => {
  assert.deepEqual(lengths("function a() {\n  const b = () => {\n  };\n}"), [2, 4]);
});
