import assert from "node:assert/strict";
import { DEFAULT_SOURCE, fileNameOf, parseModelSource, PINS } from "../../tools/model_source.ts";

Deno.test("parseModelSource() reads the three kinds of source", () => {
  assert.deepEqual(parseModelSource("a/b.gguf"), { kind: "path", path: "a/b.gguf" });
  assert.deepEqual(parseModelSource("pypi:llm-x==1.2/x/y.gguf"), {
    kind: "pypi",
    requirement: "llm-x==1.2",
    member: "x/y.gguf",
  });
  assert.deepEqual(parseModelSource("hf:owner/repo/sub/file.gguf"), {
    kind: "hf",
    repository: "owner/repo",
    file: "sub/file.gguf",
  });
});

Deno.test("parseModelSource() refuses what could mean something else", () => {
  const wrong = [
    "",
    "pypi:x",
    "pypi:x>=1",
    "pypi:x==1 --index-url=y",
    "pypi:-r==1",
    "hf:owner/repo",
    "hf:owner/repo/../../secret",
    "hf:/owner/repo/file",
    "ftp:host/file",
  ];
  for (const text of wrong) assert.throws(() => parseModelSource(text), TypeError, text);
});

Deno.test("the default model is pinned", () => {
  assert.match(PINS[DEFAULT_SOURCE].sha256, /^[0-9a-f]{64}$/);
  assert.match(PINS[DEFAULT_SOURCE].archiveSha256, /^[0-9a-f]{64}$/);
});

Deno.test("fileNameOf() leaves nothing that a file system may dislike", () => {
  assert.equal(fileNameOf("pypi:a==1/b c.gguf"), "pypi-a-1-b-c.gguf");
  assert.equal(fileNameOf("../.."), "model");
});
