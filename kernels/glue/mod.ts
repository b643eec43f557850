/** The WebAssembly package that `kernels/glue` builds: a model file's tokenizer, the incremental
 * detokenizer and prompt-block hashes. The one door to `pkg/`, for `gateway/` and `gpu-node/`
 * alike. The `.wasm` file is a static import, so it loads without any permission.
 * @module */
export { Detokenizer, hashPromptBlocks, Tokenizer } from "./pkg/redraft_glue.js";
