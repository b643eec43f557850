/** `redraft bench`. @module */
export { benchCommand as command } from "../bench/main.ts";
