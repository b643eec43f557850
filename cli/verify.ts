/** `redraft verify`. @module */
export { verifyCommand as command } from "../bench/verify.ts";
