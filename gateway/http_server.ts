/** The gateway's listener: HTTP/1.1 by `node:http`, WebSockets by the `ws` package.
 *
 * Not by `Deno.serve`: of a request whose body does not come in the same few hundred bytes as its
 * head, it does not tell that the client has left until an answer is written (2.9.6), and its
 * WebSocket joins fragments without a bound. @module */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { WebSocketServer } from "ws";
import { type Connection, Connections } from "./connections.ts";
import { HttpRequest } from "./http_request.ts";
import { Reply, type ReplyUpgrade } from "./reply.ts";
import { isStream, sendRefusal, sendReply } from "./send_reply.ts";

const HEAD_BYTES_MAX = 16 << 10;
/** Longer than a proxy keeps an idle connection: it must be the one who closes, or a request that
 * is just on its way is lost. */
const KEEP_ALIVE_MS = 75_000;

export interface HttpServerOptions {
  host: string;
  /** 0 takes any free port. */
  port: number;
  handle: (request: HttpRequest) => Reply | Promise<Reply>;
  /** Of one WebSocket message, its fragments together. */
  messageBytesMax: () => number;
  /** How long a client may leave the end of an answer unread. */
  readerMsMax: () => number;
  /** Answers are the last ones of their connections. */
  isClosing: () => boolean;
  /** A bug of ours, by which one request failed. */
  onFault: (error: unknown) => void;
}

export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #connections: Connections;

  private constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#connections = new Connections(options.readerMsMax);
    this.#server = createServer({
      maxHeaderSize: HEAD_BYTES_MAX,
      requireHostHeader: false, // `checkHead()` says what is wrong.
      // Other protocols that a client offers, Java's HTTP/2 say, are declined by answering.
      shouldUpgradeCallback: ({ method, headers }: IncomingMessage) =>
        method === "GET" && headers.upgrade?.toLowerCase() === "websocket",
    });
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    const serve = (incoming: IncomingMessage, outgoing: ServerResponse) => {
      this.#serve(incoming, outgoing).catch((error) => this.#fault(error, incoming.socket));
    };
    this.#server.on("connection", (socket) => this.#connections.add(socket));
    this.#server.on("request", serve);
    this.#server.on("checkContinue", serve); // `readBytes()` tells the client to go on.
    this.#server.on("upgrade", (incoming, socket, head) => {
      this.#upgrade(incoming, socket, head).catch((error) => this.#fault(error, socket));
    });
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
      sendRefusal(socket, error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400);
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
    server.#server.off("error", listening.reject).on("error", options.onFault);
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new connections, cuts those that ask nothing, and after `graceMs` the others. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    await this.#connections.close(graceMs);
    await closed;
  }

  #fault(error: unknown, socket: Duplex): void {
    socket.destroy();
    this.#options.onFault(error);
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    // Without a listener, an error of a connection would end the process; "close" follows it.
    incoming.on("error", ignore);
    outgoing.on("error", ignore);
    const answer = this.#connections.of(incoming.socket)?.begin(outgoing);
    const request = new HttpRequest(incoming, outgoing);
    const reply = await this.#reply(request);
    if (request.hasLeft) {
      if (isStream(reply.body)) reply.body.cancel();
      return;
    }
    const isComing = !incoming.complete;
    if (isComing || this.#options.isClosing()) reply.headers.connection = "close";
    sendReply(request, outgoing, reply, {
      isHead: incoming.method === "HEAD",
      coming: isComing ? incoming : undefined,
      onEnd: () => answer?.ended(),
    });
    incoming.resume(); // What is left of a body is in the next request's way.
  }

  async #reply(request: HttpRequest): Promise<Reply> {
    try {
      const reply = await this.#options.handle(request);
      if (reply instanceof Reply && (reply.upgrade === undefined || request.isUpgrade)) {
        return reply;
      }
      throw new TypeError("no answer to this request");
    } catch (error) {
      this.#options.onFault(error); // A bug beyond `handle`'s own care.
      return new Reply(null, { status: 500 });
    }
  }

  async #upgrade(incoming: IncomingMessage, socket: Duplex, head: Uint8Array): Promise<void> {
    socket.on("error", ignore);
    const connection = this.#connections.of(socket);
    // Behind a request that waits for its answer: none could be written without the other.
    if (connection === undefined || connection.isBusy) return void socket.destroy();
    const reply = await this.#reply(new HttpRequest(incoming));
    if (reply.upgrade !== undefined) {
      return this.#accept(reply.upgrade, connection, incoming, socket, head);
    }
    const outgoing = new ServerResponse(incoming);
    // deno-lint-ignore no-explicit-any -- the server hands a net.Socket over.
    outgoing.assignSocket(socket as any);
    reply.headers.connection = "close";
    outgoing.once("finish", () => connection.end());
    sendReply(new HttpRequest(incoming, outgoing), outgoing, reply, { isHead: false });
  }

  #accept(
    { protocol, open, gone }: ReplyUpgrade,
    connection: Connection,
    incoming: IncomingMessage,
    socket: Duplex,
    head: Uint8Array,
  ): void {
    if (socket.destroyed) return gone();
    socket.once("close", gone);
    connection.isSocket = true;
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
