import assert from "node:assert/strict";
import { createHash } from "node:crypto";

Deno.test("messages.js and messages.d.ts are of this redraft.proto", async () => {
  const read = (name: string) => Deno.readTextFile(new URL(`../../proto/${name}`, import.meta.url));
  const digest = createHash("sha256").update(await read("redraft.proto")).digest("hex");
  for (const name of ["messages.js", "messages.d.ts"]) {
    const [first] = (await read(name)).split("\n", 1);
    assert(first.endsWith(digest), `proto/${name} is of another .proto: run proto/generate.sh`);
  }
});
