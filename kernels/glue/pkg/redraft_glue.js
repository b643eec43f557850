/* @ts-self-types="./redraft_glue.d.ts" */
import * as wasm from "./redraft_glue_bg.wasm";
import { __wbg_set_wasm } from "./redraft_glue_bg.js";

__wbg_set_wasm(wasm);
wasm.__wbindgen_start();
export {
    Detokenizer, Tokenizer, hashPromptBlocks
} from "./redraft_glue_bg.js";
