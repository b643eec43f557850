/** API keys: who may call, and as which tenant. Pure but for hashing. @module */
import { hash } from "node:crypto";
import { invalidKey } from "./errors.ts";
import type { KeyLimits } from "./limits.ts";

export const KEYS_MAX = 1024;
export const PRIORITY_MAX = 100;
const KEY_CHARS_MAX = 512;

/** Who calls. Nothing of one request may be kept in it: requests of a key share it. */
export interface Principal {
  /** Caches and prefix pages are apart between tenants. */
  readonly tenant: string;
  /** Names the key without telling it: limits are counted by it. */
  readonly keyId: string;
  readonly limits?: KeyLimits;
  /** Models that the key may use; `undefined`: all. */
  readonly models?: ReadonlySet<string>;
  /** Of waiting requests, the highest goes first. */
  readonly priority: number;
  /** Its requests may name the node that they go to. */
  readonly mayPickNode?: boolean;
  /** WebSockets that it may have open. */
  readonly socketsMax?: number;
}

/** A key as it is configured: its digest and what it may do. */
export interface KeyEntry {
  /** SHA-256. */
  digest: Uint8Array;
  principal: Principal;
}

/** Without keys everyone is this one tenant; `checkExposure()` sees to who "everyone" can be. */
export const ANYONE: Principal = { tenant: "local", keyId: "", priority: 0 };

/** Whether a key with this principal may use a model. */
export function mayUse(principal: Principal, model: string): boolean {
  return principal.models === undefined || principal.models.has(model);
}

export class KeyRing {
  readonly #entries: readonly KeyEntry[];
  /** Of the entries' digests, in their order. */
  readonly #words: Uint32Array;

  /** @throws {RangeError} If there are too many keys, or one twice. */
  constructor(entries: readonly KeyEntry[]) {
    if (entries.length > KEYS_MAX) throw new RangeError(`over ${KEYS_MAX} keys`);
    const ids = new Set<string>();
    for (const { principal } of entries) {
      if (ids.has(principal.keyId)) {
        throw new RangeError(`tenant '${principal.tenant}' has a key that is there twice`);
      }
      ids.add(principal.keyId);
    }
    this.#entries = entries;
    this.#words = Uint32Array.from(entries.flatMap(({ digest }) => [...wordsOf(toHex(digest))]));
  }

  /** @param list Comma-separated, each `[tenant=]KEY` or `[tenant=]sha256:DIGEST`. The tenant's
   * default is taken from the digest, so that each key is a tenant of its own.
   * @throws {RangeError} Naming the entry by its position, never by its text. */
  static parse(list: string): KeyEntry[] {
    const items = list.split(",").map((item) => item.trim()).filter((item) => item !== "");
    return items.map((item, i) => readEntry(item, i + 1));
  }

  get principals(): Principal[] {
    return this.#entries.map((entry) => entry.principal);
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** What the key of this name may do, if it is still there. */
  principalOf(keyId: string): Principal | undefined {
    if (this.#entries.length === 0 && keyId === ANYONE.keyId) return ANYONE;
    return this.#entries.find(({ principal }) => principal.keyId === keyId)?.principal;
  }

  /** @param authorization The header's value.
   * @throws {ApiError} 401. */
  authenticate(authorization: string | null): Principal {
    if (this.#entries.length === 0) return ANYONE;
    if (authorization === null) {
      throw invalidKey("No API key was given: send 'Authorization: Bearer KEY'.");
    }
    const match = /^bearer +([!-~]+) *$/i.exec(authorization);
    if (match === null) {
      throw invalidKey("The Authorization header is not of the form 'Bearer KEY'.");
    }
    return this.authenticateKey(match[1]!);
  }

  /** @throws {ApiError} 401. */
  authenticateKey(key: string): Principal {
    if (this.#entries.length === 0) return ANYONE;
    if (key.length > KEY_CHARS_MAX) throw invalidKey("Incorrect API key provided.");
    const words = wordsOf(hash("sha256", key, "hex"));
    let found: Principal | undefined;
    // Every word of every entry is compared, whichever matches: the time taken tells nothing of the
    // keys. (A call of `timingSafeEqual()` an entry would take a thousand keys over a millisecond.)
    for (let i = 0; i < this.#entries.length; ++i) {
      let difference = 0;
      for (let j = 0; j < DIGEST_WORDS; ++j) {
        difference |= words[j]! ^ this.#words[i * DIGEST_WORDS + j]!;
      }
      if (difference === 0) found = this.#entries[i]!.principal;
    }
    if (found === undefined) throw invalidKey("Incorrect API key provided.");
    return found;
  }
}

function readEntry(item: string, position: number): KeyEntry {
  const named = /^([A-Za-z0-9][A-Za-z0-9._-]{0,63})=(.+)$/.exec(item);
  const secret = named === null ? item : named[2]!;
  const digestHex = /^sha256:(.*)$/i.exec(secret)?.[1];
  if (digestHex !== undefined && !/^[0-9a-fA-F]{64}$/.test(digestHex)) {
    throw new RangeError(`key ${position} is not sha256: and 64 hex digits`);
  }
  if (digestHex === undefined && !/^[!-~]{8,512}$/.test(secret)) {
    throw new RangeError(`key ${position} is not 8 to ${KEY_CHARS_MAX} printable characters`);
  }
  const digest = fromHex(digestHex ?? hash("sha256", secret, "hex"));
  const keyId = keyIdOf(digest);
  return { digest, principal: { tenant: named?.[1] ?? `key-${keyId}`, keyId, priority: 0 } };
}

/** The first digits of its digest: enough to tell keys apart, and nothing to find one by. */
export function keyIdOf(digest: Uint8Array): string {
  return toHex(digest.subarray(0, 8));
}

const DIGEST_WORDS = 8;

/** A SHA-256's eight words. */
function wordsOf(hex: string): Uint32Array {
  const words = new Uint32Array(DIGEST_WORDS);
  for (let i = 0; i < DIGEST_WORDS; ++i) words[i] = parseInt(hex.slice(8 * i, 8 * i + 8), 16);
  return words;
}

/** @param hex An even number of hex digits. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g)!, (pair) => parseInt(pair, 16));
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
