/** Which gateway a command talks to. @module */
import type { Target } from "./chat_stream.ts";
import { type OptionTable, type ParsedOptions, UsageError } from "./options.ts";

/** Where `serve` listens unless told otherwise. */
export const DEFAULT_URL = "http://127.0.0.1:8000";

export const TARGET_OPTIONS: OptionTable = { url: { type: "string", default: DEFAULT_URL } };

export const TARGET_OPTIONS_HELP = `  --url URL         the gateway (default ${DEFAULT_URL})`;

export const TARGET_ENV_HELP = "REDRAFT_API_KEY holds the key where the gateway wants one.";

/** @throws {UsageError} */
export function readTarget(values: ParsedOptions["values"]): Target {
  const url = String(values.url).replace(/\/(v1\/?)?$/, "");
  if (!/^https?:$/.test(URL.parse(url)?.protocol ?? "")) {
    throw new UsageError(`Option '--url' must be an http address, not ${JSON.stringify(url)}`);
  }
  const key = Deno.env.get("REDRAFT_API_KEY") || undefined;
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new UsageError("REDRAFT_API_KEY must be printable ASCII without spaces");
  }
  return { url, key };
}
