/** Invariants, held in production too: a failure is a bug of ours, never the caller's.
 *
 * `node:assert` throws the same error, but in Deno a check of it that holds takes a quarter of a
 * microsecond, and far more once a step of the engine has swept the caches.
 * @module */
import { AssertionError } from "node:assert";

/** @throws {AssertionError} With `message`, if `condition` does not hold. */
export function assert(condition: unknown, message = "an invariant holds"): asserts condition {
  if (!condition) throw new AssertionError({ message });
}

/** @throws {AssertionError} With `message` and both, if they are not the same. */
export function assertEqual<T>(actual: T, expected: T, message: string): void {
  if (actual === expected) return;
  throw new AssertionError({ message: `${message}: ${actual}, not ${expected}` });
}
