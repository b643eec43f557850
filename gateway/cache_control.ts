/** What a request says about the answer cache, and what it is told of it. Pure. @module */
import type { HeaderView } from "./http_request.ts";

/** Longer than any answer should live, whatever a client asks for. */
const TTL_SECONDS_MAX = 86_400;

/** What a request's headers let us do. */
export interface CacheDirectives {
  mayRead: boolean;
  mayStore: boolean;
  onlyIfCached: boolean;
  /** A held answer must not be older. */
  maxAgeMs: number;
  /** How long the answer may be held. Who names a time asks for the cache: then even an answer
   * that could differ the next time, drawn without a seed, is held. */
  ttlMs: number | undefined;
}

const NO_DIRECTIVES: CacheDirectives = {
  mayRead: true,
  mayStore: true,
  onlyIfCached: false,
  maxAgeMs: Infinity,
  ttlMs: undefined,
};

/** Reads the standard's `Cache-Control` and our `x-redraft-cache-ttl`, and the headers that other
 * gateways have for the same, so that who comes from them need not change a client. */
export function readCacheHeaders(headers: HeaderView): CacheDirectives {
  const ttl = headers.get("x-redraft-cache-ttl") ?? headers.get("cf-aig-cache-ttl");
  const directives = readCacheControl(headers.get("cache-control"));
  const skip = isTrue(headers.get("cf-aig-skip-cache"));
  const refresh = isTrue(headers.get("x-portkey-cache-force-refresh"));
  if (ttl === null && !skip && !refresh) return directives;
  return {
    ...directives,
    mayRead: directives.mayRead && !skip && !refresh,
    mayStore: directives.mayStore && !skip,
    ttlMs: seconds(ttl ?? ""),
  };
}

/** `no-cache` asks for a fresh answer, which may be kept; `no-store` for one that is not. Values
 * that are none are as good as absent, as the standard has it. */
export function readCacheControl(header: string | null): CacheDirectives {
  if (header === null) return NO_DIRECTIVES;
  const directives = new Map<string, string>();
  for (const part of header.toLowerCase().split(",")) {
    const [name, value = ""] = part.split("=", 2);
    directives.set(name!.trim(), value.trim());
  }
  const noStore = directives.has("no-store");
  const maxAgeMs = seconds(directives.get("max-age") ?? "") ?? Infinity;
  return {
    mayRead: !noStore && !directives.has("no-cache") && maxAgeMs > 0,
    mayStore: !noStore,
    onlyIfCached: directives.has("only-if-cached"),
    maxAgeMs,
    ttlMs: undefined,
  };
}

function isTrue(value: string | null): boolean {
  return value !== null && /^(true|1)$/i.test(value.trim());
}

function seconds(text: string): number | undefined {
  return /^[0-9]{1,9}$/.test(text) ? Math.min(Number(text), TTL_SECONDS_MAX) * 1000 : undefined;
}

/** How an answer came about. */
export type CacheState = "HIT" | "COALESCED" | "MISS" | "REFRESH" | "BYPASS";

export interface CacheOutcome {
  state: CacheState;
  /** Of a held answer. */
  ageMs: number;
  ttlMs: number;
  /** Whether the answer may be kept, as far as can be told by now; absent: it is not. */
  mayKeep?: () => boolean;
}

/** RFC 9211's `Cache-Status`, and a plain header. No key is shown: it would let one caller test for
 * another's question. */
export function cacheHeaders(outcome: CacheOutcome): Record<string, string> {
  const { state, ageMs, ttlMs } = outcome;
  const headers: Record<string, string> = {
    "x-redraft-cache": state,
    "cache-status": `redraft; ${STATUS[state]}`,
  };
  if (outcome.mayKeep?.()) headers["cache-status"] += "; stored";
  if (state !== "HIT") return headers;
  headers["age"] = String(Math.floor(ageMs / 1000));
  headers["cache-status"] += `; ttl=${Math.ceil(ttlMs / 1000)}`;
  return headers;
}

const STATUS: Record<CacheState, string> = {
  HIT: "hit",
  COALESCED: "fwd=miss; collapsed",
  MISS: "fwd=miss",
  REFRESH: "fwd=request",
  BYPASS: "fwd=bypass",
};
