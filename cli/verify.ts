/** `redraft verify`. @module */
export { command } from "../bench/verify.ts";
