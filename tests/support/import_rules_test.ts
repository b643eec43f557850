import assert from "node:assert/strict";
import { importsOf, IMPURE, refuseImport } from "./import_rules.ts";

const refused = (from: string, to: string) => refuseImport({ from, to }) !== null;

Deno.test("importsOf() finds imports of every form, and no strings", () => {
  const text = `import { a } from "./a.ts";\nexport * from "../proto/b.ts";\nimport "npm:c";\n` +
    `const d = await import("./d.ts");\nexport const KERNELS = join(ROOT, "kernels");\n` +
    `import type {\n  E,\n} from "./e.ts";`;
  assert.deepEqual(importsOf("gateway/x.ts", text).map(({ to }) => to), [
    "gateway/a.ts",
    "proto/b.ts",
    "npm:c",
    "gateway/d.ts",
    "gateway/e.ts",
  ]);
  const include = '#include "../common/half.h"\n#include <span>\n#include "x.h"';
  assert.deepEqual(importsOf("kernels/engine/x.cc", include).map(({ to }) => to), [
    "kernels/common/half.h",
    "kernels/engine/x.h",
  ]);
});

Deno.test("refuseImport() lets code flow one way", () => {
  assert.ok(refused("gateway/a.ts", "gpu-node/b.ts"));
  assert.ok(refused("gpu-node/a.ts", "gateway/b.ts"));
  assert.ok(refused("proto/a.ts", "gateway/b.ts"));
  assert.ok(refused("tools/a.ts", "cli/b.ts"));
  assert.ok(refused("gateway/request.ts", "hono"));
  assert.ok(refused("kernels/gru_draft/a.cc", "kernels/kv_cache/b.h"));
  assert.ok(refused("kernels/gru_draft/a.cu", "kernels/kv_cache/b.cuh"));
  assert.ok(refused("kernels/gru_draft/a.cc", "kernels/cuda/device.h"));
  assert.ok(refused("kernels/gru_draft/a.cu", "kernels/cuda/device_matrix.h"));
  assert.ok(!refused("kernels/gru_draft/a.cu", "kernels/cuda/device.h"));
  assert.ok(!refused("kernels/cuda/a.cc", "kernels/kv_cache/b.cuh"));
  assert.ok(!refused("gateway/routes/a.ts", "hono/streaming"));
  assert.ok(!refused("gateway/a.ts", "kernels/glue/mod.ts"));
  assert.ok(!refused("kernels/engine/a.cc", "kernels/kv_cache/b.h"));
  assert.ok(!refused("kernels/gru_draft/a_test.cc", "kernels/kv_cache/b.h"));
  assert.ok(!refused("gateway/a.ts", "node:crypto"));
});

Deno.test("IMPURE knows time, chance and I/O", () => {
  for (const text of ["Date.now()", "Math.random()", "await fetch(url)", "Deno.open"]) {
    assert.match(text, IMPURE);
  }
  assert.doesNotMatch("options.now() + prefetch(x) + random()", IMPURE);
});
