import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { TokenizerDownload } from "../../gateway/tokenizer_download.ts";

const JSON_BYTES = new TextEncoder().encode('{"tokens":[]}');
const DIGEST = createHash("sha256").update(JSON_BYTES).digest("hex");

function chunk(index: number, count: number, json: Uint8Array, digest = DIGEST) {
  return { kind: "tokenizerChunk" as const, digest, index, count, json };
}

Deno.test("chunks in order make the tokenizer", () => {
  const download = new TokenizerDownload(DIGEST);
  assert.equal(download.push(chunk(0, 2, JSON_BYTES.slice(0, 4))), undefined);
  assert.deepEqual(download.push(chunk(1, 2, JSON_BYTES.slice(4))), JSON_BYTES);
});

Deno.test("a chunk out of order, of another tokenizer, or of a wrong whole is refused", () => {
  const fresh = () => new TokenizerDownload(DIGEST);
  assert.throws(() => fresh().push(chunk(1, 2, JSON_BYTES)), /0 was due/);
  assert.throws(() => fresh().push(chunk(0, 0, JSON_BYTES)), /0 chunks/);
  assert.throws(() => fresh().push(chunk(0, 1, JSON_BYTES, "00".repeat(32))), /of another/);
  assert.throws(() => fresh().push(chunk(0, 1, JSON_BYTES.slice(1))), /digest/);
  const changed = fresh();
  changed.push(chunk(0, 3, JSON_BYTES));
  assert.throws(() => changed.push(chunk(1, 2, JSON_BYTES)), /chunk 1/);
});
