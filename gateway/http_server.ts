/** The gateway's listener: HTTP/1.1 by `node:http`, WebSockets by the `ws` package.
 *
 * Not by `Deno.serve`: of a request whose body does not come in the same few hundred bytes as its
 * head, it does not tell that the client has left until an answer is written (2.9.6), and its
 * WebSocket joins fragments without a bound. @module */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { WebSocketServer } from "ws";
import { HttpRequest } from "./http_request.ts";
import { Reply, type ReplyStream, type ReplyUpgrade } from "./reply.ts";

const HEAD_BYTES_MAX = 16 << 10;
/** For what a client still sends when it has been answered: cut at once, the connection would be
 * reset, and the answer lost with it. */
const LINGER_MS = 1000;
/** Longer than a proxy keeps an idle connection: it must be the one who closes, or a request that is
 * just on its way is lost. */
const KEEP_ALIVE_MS = 75_000;

export interface HttpServerOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  handle: (request: HttpRequest) => Reply | Promise<Reply>;
  /** Of one WebSocket message, its fragments together. */
  messageBytesMax: () => number;
  /** Answers are the last ones of their connections. */
  isClosing: () => boolean;
}

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  /** Connections that are WebSockets now, which `#server` forgets. */
  readonly #upgraded = new Set<Duplex>();

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#server = createServer({
      maxHeaderSize: HEAD_BYTES_MAX,
      requireHostHeader: false, // `checkHead()` says what is wrong.
      // Other protocols that a client offers, Java's HTTP/2 say, are declined by answering.
      shouldUpgradeCallback: ({ method, headers }: IncomingMessage) =>
        method === "GET" && headers.upgrade?.toLowerCase() === "websocket",
    }, (incoming, outgoing) => void this.#serve(incoming, outgoing));
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on("upgrade", (incoming, socket, head) => {
      void this.#upgrade(incoming, socket, head);
    });
  }

  /** Resolves when it can be dialled.
   * @throws {Error} With `code` "EADDRINUSE", and whatever else listening may throw. */
  static async listen(options: HttpServerOptions): Promise<HttpServer> {
    const server = new HttpServer(options);
    const listening = Promise.withResolvers<void>();
    server.#server.once("error", listening.reject);
    const host = options.host.replace(/^\[(.*)\]$/, "$1"); // As IPv6 stands in a URL.
    server.#server.listen(options.port, host, listening.resolve);
    await listening.promise;
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new connections, and cuts those that are not done after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const cut = setTimeout(() => {
      this.#server.closeAllConnections();
      for (const socket of this.#upgraded) socket.destroy();
    }, graceMs);
    await closed;
    await Promise.all(
      [...this.#upgraded].map((socket) =>
        new Promise<void>((resolve) => socket.once("close", () => resolve()))
      ),
    );
    clearTimeout(cut);
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // Without a listener, an error of a connection would end the process; "close" follows it.
    incoming.on("error", ignore);
    outgoing.on("error", ignore);
    const request = new HttpRequest(incoming, outgoing);
    const reply = await this.#reply(request);
    if (request.hasLeft) {
      if (isStream(reply.body)) reply.body.cancel();
      return;
    }
    const isComing = !incoming.complete;
    if (isComing || this.#options.isClosing()) reply.headers.connection = "close";
    send(outgoing, reply, incoming.method === "HEAD", isComing ? incoming : undefined);
    incoming.resume(); // What is left of a body is in the next request's way.
  }

  async #reply(request: HttpRequest): Promise<Reply> {
    try {
      return await this.#options.handle(request);
    } catch {
      return new Reply(null, { status: 500 }); // A bug beyond `handle`'s own care.
    }
  }

  async #upgrade(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): Promise<void> {
    socket.on("error", ignore);
    this.#upgraded.add(socket);
    socket.once("close", () => this.#upgraded.delete(socket));
    const reply = await this.#reply(new HttpRequest(incoming));
    if (reply.upgrade !== undefined) return this.#accept(reply.upgrade, incoming, socket, head);
    const outgoing = new ServerResponse(incoming);
    // deno-lint-ignore no-explicit-any -- the server hands a net.Socket over.
    outgoing.assignSocket(socket as any);
    reply.headers.connection = "close";
    outgoing.once("finish", () => socket.end());
    send(outgoing, reply, false);
  }

  #accept(
    { protocol, open, gone }: ReplyUpgrade,
    incoming: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
  ): void {
    if (socket.destroyed) return gone();
    socket.once("close", gone);
    new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: this.#options.messageBytesMax(),
      // Events are small, and what compresses them has been attacked by their length.
      perMessageDeflate: false,
      handleProtocols: () => protocol ?? false,
      // deno-lint-ignore no-explicit-any -- @types/ws asks for a Buffer, and the head is one.
    }).handleUpgrade(incoming, socket, head as any, open);
  }
}

function ignore(): void {}

function isStream(body: Reply["body"]): body is ReplyStream {
  return typeof body === "object" && body !== null;
}

/** @param coming A request that its client is still sending. */
function send(
  outgoing: ServerResponse,
  reply: Reply,
  isHead: boolean,
  coming?: IncomingMessage,
): void {
  const { status, headers, body } = reply;
  if (isStream(body)) {
    outgoing.writeHead(status, headers);
    outgoing.once("close", () => body.cancel());
    return body.open({
      write: (text, taken) => outgoing.write(text, taken),
      end: (text) => outgoing.end(text),
      destroy: () => outgoing.destroy(),
    });
  }
  if (status !== 204 && status !== 304) {
    headers["content-length"] = String(Buffer.byteLength(body ?? ""));
  }
  outgoing.writeHead(status, headers);
  const text = isHead ? "" : body ?? "";
  if (coming === undefined) return void outgoing.end(text);
  if (text === "") outgoing.flushHeaders();
  else outgoing.write(text);
  const end = () => {
    clearTimeout(late);
    outgoing.end();
  };
  const late = setTimeout(end, LINGER_MS);
  coming.once("close", end);
}
