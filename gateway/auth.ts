/** API keys: who may call, and as which tenant. Pure but for hashing. @module */
import { createHash, timingSafeEqual } from "node:crypto";
import { invalidKey } from "./errors.ts";

export const KEYS_MAX = 1024;
const KEY_CHARS_MAX = 512;

/** Who calls. Nothing of one request may be kept in it: requests of a key share it. */
export interface Principal {
  /** Caches, prefix pages and limits are apart between tenants. */
  readonly tenant: string;
}

interface KeyEntry {
  digest: Uint8Array;
  principal: Principal;
}

/** Without keys everyone is this one tenant; `checkExposure()` sees to who "everyone" can be. */
const ANYONE: Principal = { tenant: "local" };

export class KeyRing {
  readonly #entries: readonly KeyEntry[];

  private constructor(entries: readonly KeyEntry[]) {
    this.#entries = entries;
  }

  /** @param list Comma-separated, each `[tenant=]KEY` or `[tenant=]sha256:DIGEST`. The tenant's
   * default is taken from the digest, so that each key is a tenant of its own.
   * @throws {RangeError} Naming the entry by its position, never by its text. */
  static parse(list: string): KeyRing {
    const items = list.split(",").map((item) => item.trim()).filter((item) => item !== "");
    if (items.length > KEYS_MAX) throw new RangeError(`over ${KEYS_MAX} keys`);
    return new KeyRing(items.map((item, i) => readEntry(item, i + 1)));
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
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
    const digest = sha256(key);
    let found: Principal | undefined;
    // Every entry is compared, whichever matches: the time taken tells nothing of the keys.
    for (const entry of this.#entries) {
      if (timingSafeEqual(entry.digest, digest)) found = entry.principal;
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
  const digest = digestHex === undefined ? sha256(secret) : Uint8Array.from(fromHex(digestHex));
  const tenant = named?.[1] ?? `key-${toHex(digest.subarray(0, 8))}`;
  return { digest, principal: { tenant } };
}

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

function fromHex(hex: string): number[] {
  return hex.match(/../g)!.map((pair) => parseInt(pair, 16));
}

function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
