/** One HTTP request as the routes read it: a thin view of `node:http`'s. A web `Request` costs more
 * than all else that is read here, and its signal, as `Deno.serve` gives it, misses clients that
 * leave (see http_server.ts). @module */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { clientClosed, tooLarge } from "./errors.ts";

/** By names in lower case. */
export interface HeaderView {
  get(name: string): string | null;
  has(name: string): boolean;
}

export interface WithHeaders {
  readonly headers: HeaderView;
}

export class HttpRequest implements WithHeaders {
  /** A HEAD asks what a GET would say. */
  readonly method: string;
  /** Absolute, as Hono reads it. Its host says nothing: `checkHead()` looks at the header. */
  readonly url: string;
  readonly headers: HeaderView;
  /** Called once, when the client leaves before it has its whole answer. */
  onLeave: () => void = () => {};
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse | undefined;
  #hasLeft = false;

  /** @param outgoing None where the connection may become a WebSocket. */
  constructor(incoming: IncomingMessage, outgoing?: ServerResponse) {
    this.#incoming = incoming;
    this.#outgoing = outgoing;
    this.method = incoming.method === "HEAD" ? "GET" : incoming.method ?? "";
    const target = incoming.url ?? "";
    this.url = target.startsWith("/") ? `http://localhost${target}` : target;
    const { headers } = incoming;
    this.headers = {
      get: (name) => {
        const value = headers[name];
        return value === undefined ? null : Array.isArray(value) ? value.join(", ") : value;
      },
      has: (name) => headers[name] !== undefined,
    };
    if (outgoing === undefined) return;
    // Of requests that wait behind another one of their connection, the answer does not tell.
    const { socket } = incoming;
    const leave = () => {
      this.#hasLeft = true;
      this.onLeave();
    };
    socket.once("close", leave);
    outgoing.once("finish", () => socket.off("close", leave));
  }

  /** It asks for a WebSocket, and may be given one. */
  get isUpgrade(): boolean {
    return this.#outgoing === undefined;
  }

  /** As they came, one for each line. */
  get headerNames(): string[] {
    return this.#incoming.rawHeaders.filter((_, index) => index % 2 === 0);
  }

  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** The whole body. What comes past `bytesMax` is discarded.
   * @throws {ApiError} 413, or 499 when the client leaves first. */
  readBytes(bytesMax: number): Promise<Uint8Array> {
    const incoming = this.#incoming;
    // The server enforces Content-Length, so a body that declares one is bounded already.
    if (Number(this.headers.get("content-length") ?? 0) > bytesMax) throw tooLarge(bytesMax);
    if (this.headers.has("expect")) this.#outgoing?.writeContinue();
    return new Promise((resolve, reject) => {
      const parts: Uint8Array[] = [];
      let byteCount = 0;
      incoming.on("data", (part: Uint8Array) => {
        byteCount += part.byteLength;
        if (byteCount <= bytesMax) parts.push(part);
        else {
          parts.length = 0;
          reject(tooLarge(bytesMax));
        }
      });
      incoming.once("end", () => resolve(parts.length === 1 ? parts[0]! : Buffer.concat(parts)));
      incoming.once("close", () => reject(clientClosed()));
    });
  }
}
