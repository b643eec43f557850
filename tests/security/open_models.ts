/** Opens each model file that it is given and says how that ended: a crash would end it early. Run
 * by `models_test.ts`. @module */
import { FfiEngine } from "../../gpu-node/engine_ffi.ts";
import { EngineError } from "../../gpu-node/native_engine.ts";

for (const model of Deno.args) {
  try {
    const engine = await FfiEngine.open({
      model,
      threads: 1,
      slotsMax: 1,
      pagesMax: 4,
      rowsMax: 64,
    });
    engine.close();
    console.log("opened");
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    console.log(error.status);
  }
}
