/** A request body: bounded bytes, then strict UTF-8, then bounded JSON. @module */
import type { Deadlines } from "./deadlines.ts";
import { badRequest, timedOut, unsupportedMedia } from "./errors.ts";
import type { HttpRequest } from "./http_request.ts";

/** Deeper than any schema of ours; keeps every later walk over the value shallow. */
export const JSON_DEPTH_MAX = 32;
/** A body that drips in slower than this holds a connection for nothing. */
export const BODY_READ_MS_MAX = 30_000;

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Reads the body of `request` as JSON.
 * @throws {ApiError} 400, 408, 413, 415, or 499 when the client left meanwhile. */
export async function readJsonBody(request: HttpRequest, limits: BodyLimits): Promise<unknown> {
  return parseJsonText(await readBodyText(request, limits));
}

/** What a body is bounded by, with and without Content-Length; the gateway's services. */
export interface BodyLimits {
  readonly options: { bodyBytesMax: number };
  readonly deadlines: Deadlines;
}

/** Reads the body of a request that says it is JSON.
 * @throws {ApiError} 400, 408, 413, 415, or 499 when the client left meanwhile. */
export async function readBodyText(request: HttpRequest, limits: BodyLimits): Promise<string> {
  const headers = request.headers;
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.trim().toLowerCase() !== "identity") {
    // Compressed bodies are refused, not inflated: a small bomb could grow past every limit.
    throw unsupportedMedia("Content-Encoding is not supported: send the body uncompressed.");
  }
  if (!isJsonType(headers.get("content-type"))) {
    // Also what keeps a foreign web page from posting without a preflight.
    throw unsupportedMedia("Content-Type must be application/json.");
  }
  const bytes = request.readBytes(limits.options.bodyBytesMax);
  return decodeBody(await limits.deadlines.bound(bytes, BODY_READ_MS_MAX, lateBody));
}

function lateBody() {
  return timedOut("request_timeout", "The request body took too long to arrive.");
}

function isJsonType(contentType: string | null): boolean {
  if (contentType === "application/json") return true;
  if (contentType === null) return false;
  const type = contentType.split(";", 1)[0]!.trim().toLowerCase();
  return type === "application/json" || /^application\/[a-z0-9.-]+\+json$/.test(type);
}

/** @throws {ApiError} 400 for broken UTF-8, malformed JSON, or nesting past `JSON_DEPTH_MAX`. */
export function parseJson(bytes: Uint8Array): unknown {
  return parseJsonText(decodeBody(bytes));
}

function decodeBody(bytes: Uint8Array): string {
  if (bytes.byteLength === 0) throw badRequest("invalid_json", "The request body is empty.");
  try {
    return DECODER.decode(bytes);
  } catch {
    throw badRequest("invalid_utf8", "The request body is not valid UTF-8.");
  }
}

/** @throws {ApiError} As `parseJson()`. */
export function parseJsonText(text: string): unknown {
  if (depthOf(text) > JSON_DEPTH_MAX) {
    throw badRequest("invalid_json", `The JSON is nested deeper than ${JSON_DEPTH_MAX} levels.`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    // V8 quotes a piece of the input in its message: the caller's own text, sent back to it alone.
    const reason = error instanceof Error ? error.message : "";
    throw badRequest("invalid_json", `The request body is not valid JSON: ${reason}.`);
  }
}

/** Nesting of brackets outside strings. Malformed text gets any number: JSON.parse refuses it. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  for (let i = 0; i < text.length; ++i) {
    switch (text.charCodeAt(i)) {
      case 0x22: // A string: jump to its closing quote.
        i = closingQuote(text, i);
        if (i < 0) return deepest; // Unterminated: JSON.parse says so.
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > deepest) deepest = depth;
        break;
      case 0x5d:
      case 0x7d:
        --depth;
    }
  }
  return deepest;
}

function closingQuote(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  while (close >= 0) {
    let backslashes = 0;
    while (text.charCodeAt(close - 1 - backslashes) === 0x5c) ++backslashes;
    if (backslashes % 2 === 0) return close;
    close = text.indexOf('"', close + 1);
  }
  return -1;
}
