import assert from "node:assert/strict";
import { openStepEngine } from "../../gpu-node/engine_step.ts";
import { libraryPath } from "../../gpu-node/engine_ffi.ts";
import { EngineError } from "../../gpu-node/native_engine.ts";
import { testEngine } from "./engine_conformance.ts";

const MODELS = new URL("../../.cache/models/", import.meta.url);
const HEADS = new URL("../../drafter/weights/", import.meta.url);

function first(folder: URL, wanted: (entry: Deno.DirEntry) => boolean): string | undefined {
  try {
    for (const entry of Deno.readDirSync(folder)) {
      if (wanted(entry)) return decodeURIComponent(new URL(entry.name, folder).pathname);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return undefined;
}

function exists(path: string): boolean {
  return Deno.statSync(path).isFile;
}

const model = Deno.env.get("REDRAFT_TEST_MODEL") ??
  first(MODELS, ({ name }) => name.endsWith(".gguf"));
const head = first(HEADS, ({ isDirectory }) => isDirectory);

function libraryIsBuilt(): boolean {
  try {
    return exists(libraryPath());
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

// Without a built library or a fetched model there is nothing to test; `deno task test` has both.
// The library stays loaded by design: closing it under a thread of its own would crash.
const ignore = model === undefined || !libraryIsBuilt();

Deno.test({
  sanitizeResources: false,
  name: "the CPU engine conforms",
  ignore,
  fn: (t) =>
    testEngine(t, (bounds, scheduling) =>
      openStepEngine({
        model: model!,
        ...(head === undefined ? {} : { head }),
        threads: 2,
        ...bounds,
        scheduling,
      })),
});

Deno.test({
  sanitizeResources: false,
  name: "openStepEngine() says what is wrong",
  ignore,
  fn: async () => {
    const opening = (changes: { model?: string; library?: string; pagesMax?: number }) =>
      openStepEngine({ model: model!, threads: 1, ...changes });
    await assert.rejects(opening({ library: "/nowhere.so" }), (error) => {
      assert(error instanceof EngineError && error.status === "unsupported");
      assert.match(error.message, /\/nowhere\.so.*leave out --library/);
      return true;
    });
    await assert.rejects(opening({ model: "/nowhere.gguf" }), /nowhere\.gguf/);
    await assert.rejects(opening({ pagesMax: 0 }), /pages_max/);
  },
});

Deno.test({
  sanitizeResources: false,
  name: "hidden() gives the rows that were asked for",
  ignore,
  fn: async () => {
    const engine = await openStepEngine({ model: model!, threads: 2, pagesMax: 8 });
    const { hiddenSize, vocabSize } = engine.model;
    const tokens = Uint32Array.of(1, 2, 3, 4);
    const hidden = new Float32Array(4 * hiddenSize);
    const logits = new Float32Array(2 * vocabSize);
    await engine.hidden(tokens, { hidden, logits }, 2);
    assert(hidden.every(Number.isFinite) && logits.every(Number.isFinite));
    assert(hidden.some((value) => value !== 0) && logits.some((value) => value !== 0));
    const short = new Float32Array(3);
    await assert.rejects(engine.hidden(tokens, { hidden: short }), RangeError);
    await engine.close();
  },
});
