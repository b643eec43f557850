/** A request body: bounded bytes, then strict UTF-8, then bounded JSON. @module */
import { badRequest, clientClosed, timedOut, tooLarge, unsupportedMedia } from "./errors.ts";

/** Deeper than any schema of ours; keeps every later walk over the value shallow. */
export const JSON_DEPTH_MAX = 32;
/** A body that drips in slower than this holds a connection for nothing. */
const BODY_READ_MS_MAX = 30_000;

const DECODER = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });

/** Reads the body of `request` as JSON.
 * @param bytesMax Enforced with and without Content-Length.
 * @throws {ApiError} 400, 408, 413, 415, or 499 when the client left meanwhile. */
export async function readJsonBody(request: Request, bytesMax: number): Promise<unknown> {
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
  const bytes = await readBytes(request, bytesMax);
  return parseJson(bytes);
}

function isJsonType(contentType: string | null): boolean {
  if (contentType === "application/json") return true;
  if (contentType === null) return false;
  const type = contentType.split(";", 1)[0]!.trim().toLowerCase();
  return type === "application/json" || /^application\/[a-z0-9.-]+\+json$/.test(type);
}

async function readBytes(request: Request, bytesMax: number): Promise<Uint8Array> {
  const lengthHeader = request.headers.get("content-length");
  if (lengthHeader !== null && Number(lengthHeader) > bytesMax) throw tooLarge(bytesMax);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(timedOut("request_timeout", "The request body took too long to arrive.")),
      BODY_READ_MS_MAX,
    );
  });
  try {
    // The server enforces Content-Length, so a body that declares one is bounded already.
    const whole = lengthHeader !== null
      ? request.arrayBuffer().then((buffer) => new Uint8Array(buffer), () => {
        throw clientClosed();
      })
      : readChunks(request, bytesMax);
    return await Promise.race([whole, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readChunks(request: Request, bytesMax: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let byteCount = 0;
  if (request.body !== null) {
    const reader = request.body.getReader();
    while (true) {
      const { done, value } = await reader.read().catch(() => {
        throw clientClosed();
      });
      if (done) break;
      byteCount += value.byteLength;
      if (byteCount > bytesMax) {
        reader.cancel().catch(() => {});
        throw tooLarge(bytesMax);
      }
      chunks.push(value);
    }
  }
  const bytes = new Uint8Array(byteCount);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** @throws {ApiError} 400 for broken UTF-8, malformed JSON, or nesting past `JSON_DEPTH_MAX`. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) throw badRequest("invalid_json", "The request body is empty.");
  let text: string;
  try {
    text = DECODER.decode(bytes);
  } catch {
    throw badRequest("invalid_utf8", "The request body is not valid UTF-8.");
  }
  return parseJsonText(text);
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
