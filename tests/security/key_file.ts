/** A configuration file's text with keys. @module */
import { createHash } from "node:crypto";

/** @param keys By tenant. */
export function keyFile(keys: Record<string, string>, limits: Record<string, unknown>): string {
  const entries = Object.entries(keys).map(([tenant, key]) => ({
    tenant,
    sha256: createHash("sha256").update(key).digest("hex"),
    ...limits,
  }));
  return JSON.stringify({ keys: entries });
}
