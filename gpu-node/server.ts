/** The node's one port: WebSockets for gateways, and `/healthz`, `/readyz`, `/metrics` beside them.
 * It decodes, submits and sends; every decision about sequences is the engine's.
 *
 * The `ws` package serves, not the platform's WebSocket: that one has no bound for a message in
 * fragments and no ping that ends a dead peer.
 * @module */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
// @ts-types="@types/ws"
import { type WebSocket, WebSocketServer } from "ws";
import type { WelcomeFrame } from "../proto/frame.ts";
import { LIMITS, PROTOCOL_VERSION, SUBPROTOCOL } from "../proto/limits.ts";
import { refuseUpgrade } from "./access.ts";
import type { Engine } from "./engine.ts";
import { type Log, silentLog } from "./log.ts";
import { NodeMetrics } from "./metrics.ts";
import type { Session, SessionHooks } from "./session.ts";
import { runSocket, SOCKET_TIMES, type SocketTimes } from "./socket.ts";
import { StatusReporter } from "./status_reporter.ts";
import { recordSpans } from "./tracing.ts";

export interface ServerOptions {
  /** Loopback by default. */
  host?: string;
  /** 0, the default, takes any free port. */
  port?: number;
  nodeId?: string;
  /** What gateways must bring as a bearer token; without one, none is asked for. */
  token?: string;
  queueMax?: number;
  /** Unix seconds, for the model card. */
  created?: number;
  log?: Log;
  times?: SocketTimes;
}

/** Sockets beyond any fleet of gateways: more is a leak or an attack. */
const SOCKETS_MAX = 256;
const DRAIN_POLL_MS = 50;

export class NodeServer {
  readonly #engine: Engine;
  readonly #options: ServerOptions;
  readonly #log: Log;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #sessions = new Set<Session>();
  readonly #greeted = new Set<Session>();
  readonly #status: StatusReporter;
  readonly #metrics = new NodeMetrics();
  #sequenceLast = 0;
  #draining = false;
  #engineEnded = false;

  private constructor(engine: Engine, options: ServerOptions) {
    this.#engine = engine;
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.#status = new StatusReporter(engine, this.#greeted, () => performance.now());
    this.#http = createServer((request, response) => this.#answer(request, response));
    this.#sockets = new WebSocketServer({
      noServer: true,
      maxPayload: LIMITS.frameBytesMax,
      // Token frames are small and mostly random: compression would cost more than it saves.
      perMessageDeflate: false,
      handleProtocols: () => SUBPROTOCOL,
    });
    this.#http.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
    engine.ended.catch(() => {}).then(() => this.#engineEnded = true);
  }

  /** Listens; resolves when it can be dialled. */
  static async listen(engine: Engine, options: ServerOptions = {}): Promise<NodeServer> {
    const server = new NodeServer(engine, options);
    const listening = Promise.withResolvers<void>();
    server.#http.once("error", listening.reject);
    server.#http.listen(options.port ?? 0, options.host ?? "127.0.0.1", listening.resolve);
    await listening.promise;
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** Streams under way, over all sockets. */
  get streamCount(): number {
    return [...this.#sessions].reduce((sum, session) => sum + session.streamCount, 0);
  }

  /** Refuses what is new and waits for what runs, `deadlineMs` at most. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining = true;
    this.#engine.drain();
    for (const session of this.#greeted) session.announceDrain(deadlineMs);
    this.#log("info", "node.drain", { streams: this.streamCount, deadlineMs });
    const deadline = performance.now() + deadlineMs;
    while (this.streamCount > 0 && performance.now() < deadline && !this.#engineEnded) {
      await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
    }
  }

  /** Closes every socket and the port. Close the engine first: then each stream learns its end. */
  async close(): Promise<void> {
    this.#status.stop();
    for (const socket of this.#sockets.clients) socket.close(1001, "going away");
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    // A peer that does not answer the close frame is not waited for.
    const cut = setTimeout(() => {
      for (const socket of this.#sockets.clients) socket.terminate();
      this.#http.closeAllConnections();
    }, 500);
    await closed;
    clearTimeout(cut);
    this.#sockets.close();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Uint8Array): void {
    const refusal = refuseUpgrade(request.headers, this.#options.token);
    if (refusal !== undefined) return this.#refuse(socket, refusal.status, refusal.reason);
    if (this.#sessions.size >= SOCKETS_MAX) return this.#refuse(socket, 503, "Too many sockets");
    // deno-lint-ignore no-explicit-any -- @types/ws asks for a Buffer, and the head is one.
    this.#sockets.handleUpgrade(request, socket, head as any, (opened) => this.#run(opened));
  }

  #refuse(socket: Duplex, status: number, reason: string): void {
    this.#log("warn", "socket.refused", { status, reason });
    const head = `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Length: 0\r\n`;
    socket.end(status === 401 ? `${head}WWW-Authenticate: Bearer\r\n\r\n` : `${head}\r\n`);
  }

  #run(socket: WebSocket): void {
    const hooks: SessionHooks = {
      engine: this.#engine,
      welcome: () => this.#welcome(),
      nextSequenceId: () => ++this.#sequenceLast,
      now: () => performance.now(),
      opened: (session) => {
        this.#greeted.add(session);
        this.#status.greet(session);
        this.#log("info", "gateway.connected", { gateways: this.#greeted.size });
        if (this.#draining) session.announceDrain(0);
      },
      observed: (frame, startedAt, event) => {
        const now = performance.now();
        this.#metrics.observe(frame, startedAt, event, now);
        recordSpans(frame, this.#engine.model.id, startedAt, event, now);
        if (event.kind !== "step") this.#status.soon();
      },
    };
    const times = this.#options.times ?? SOCKET_TIMES;
    const session = runSocket(socket, hooks, times, this.#log, (closed) => {
      this.#sessions.delete(closed);
      if (!this.#greeted.delete(closed)) return;
      this.#log("info", "gateway.gone", { gateways: this.#greeted.size });
    });
    this.#sessions.add(session);
  }

  #welcome(): WelcomeFrame {
    const { model } = this.#engine;
    const { id, digest, tokenizerDigest, headDigest, vocabSize, architecture } = model;
    // What a sequence may really grow to: the pages bound it as well.
    const contextMax = Math.min(model.contextMax, model.pagesMax * model.pageTokens);
    const created = this.#options.created ?? 0;
    return {
      kind: "welcome",
      protocolVersion: PROTOCOL_VERSION,
      nodeId: this.#options.nodeId ?? "node",
      model: {
        id,
        digest,
        tokenizerDigest,
        headDigest,
        vocabSize,
        contextMax,
        created,
        architecture,
      },
      pageTokens: model.pageTokens,
      slotsMax: model.slotsMax,
      pagesMax: model.pagesMax,
      queueMax: this.#options.queueMax ?? 0,
      backend: model.backend,
    };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "").split("?", 1)[0];
    const text = (status: number, body: string, type = "text/plain; charset=utf-8") => {
      response.writeHead(status, { "content-type": type, "cache-control": "no-store" });
      response.end(request.method === "HEAD" ? undefined : body);
    };
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "GET only\n");
    if (path === "/healthz") {
      return this.#engineEnded ? text(503, "engine ended\n") : text(200, "ok\n");
    }
    if (path === "/readyz") {
      if (this.#engineEnded) return text(503, "engine ended\n");
      return this.#draining ? text(503, "draining\n") : text(200, "ok\n");
    }
    if (path === "/metrics") {
      const body = this.#metrics.text(this.#engine, Deno.memoryUsage(), this.#greeted.size);
      return text(200, body, "text/plain; version=0.0.4; charset=utf-8");
    }
    text(404, "not found\n");
  }
}
