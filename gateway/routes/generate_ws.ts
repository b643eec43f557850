/** `GET /v1/generate`: the WebSocket that carries many generations. @module */
// @ts-types="@types/ws"
import type { WebSocket } from "ws";
import type { Principal } from "../auth.ts";
import { ApiError, badRequest, unavailable } from "../errors.ts";
import { GenerateSocket } from "../generate_socket.ts";
import { checkOrigin } from "../http_guard.ts";
import type { WithHeaders } from "../http_request.ts";
import { readRouting } from "../routing_headers.ts";
import { Reply } from "../reply.ts";
import type { Services } from "../services.ts";
import type { ClientSocket } from "../socket_writer.ts";
import type { Route } from "./route.ts";

export const SUBPROTOCOL = "redraft.json.v1";
/** How a browser brings its key, as at OpenAI: never in the URL, which ends up in logs. */
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const KEY_PROTOCOL = "openai-insecure-api-key.";
/** A peer that does not answer one before the next is gone. */
const PING_MS = 30_000;
/** How long a peer may take to answer a close frame. */
const GOODBYE_MS = 1000;

export const generateRoute: Route = {
  method: "GET",
  path: "/v1/generate",
  scope: "socket",
  handle: ({ http, services, requestId }) => {
    // All headers are read before the upgrade: after it, they are gone.
    const offered = readProtocols(http);
    const principal = authenticate(http, offered, services);
    checkOrigin(http, services);
    if (!http.isUpgrade) {
      const message = "This route speaks WebSocket: send an upgrade.";
      throw new ApiError(426, "invalid_request_error", "upgrade_required", message, {
        headers: { upgrade: "websocket", connection: "upgrade" },
      });
    }
    const protocol = chooseProtocol(http, offered);
    if (services.closing) throw unavailable("draining", "The gateway is shutting down.");
    const handshake = {
      ...readRouting(http.headers, principal, services.pool.links.length),
      traceparent: http.headers.get("traceparent"),
    };
    checkHandshake(http);
    services.log.write("debug", "socket.open", { request_id: requestId });
    const gone = services.socketSlots.take(principal, services.options.socketsMax);
    const open = (socket: WebSocket) =>
      runSocket(socket, (client) => new GenerateSocket(services, principal, client, handshake));
    return new Reply(null, { status: 101, upgrade: { protocol, open, gone } });
  },
};

/** RFC 6455, section 4.2.1.
 * @throws {ApiError} 400. */
function checkHandshake({ headers }: WithHeaders): void {
  const wrong = !/^[A-Za-z0-9+/]{22}==$/.test(headers.get("sec-websocket-key") ?? "")
    ? "sec-websocket-key"
    : headers.get("sec-websocket-version") !== "13"
    ? "sec-websocket-version"
    : hasBadProtocols(headers.get("sec-websocket-protocol"))
    ? "sec-websocket-protocol"
    : undefined;
  if (wrong === undefined) return;
  throw badRequest("invalid_upgrade", `The header ${wrong} is missing or not a WebSocket's.`);
}

/** Tokens, none of them twice, or the library refuses the handshake in its own words. */
function hasBadProtocols(header: string | null): boolean {
  if (header === null) return false;
  const items = header.split(",").map((item) => item.trim());
  return new Set(items).size < items.length || !items.every((item) => TOKEN.test(item));
}

function readProtocols(http: WithHeaders): string[] {
  const header = http.headers.get("sec-websocket-protocol") ?? "";
  return header.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

/** Who offers any must be told one of them, or a browser gives the connection up; and the only one
 * that may be told is ours, as the other is the key. Other clients do not mind.
 * @throws {ApiError} 400. */
function chooseProtocol(http: WithHeaders, offered: string[]): string | undefined {
  if (offered.includes(SUBPROTOCOL)) return SUBPROTOCOL;
  if (offered.length === 0 || http.headers.get("origin") === null) return undefined;
  const message = `Offer the subprotocol '${SUBPROTOCOL}' too: a browser needs one to be chosen.`;
  throw badRequest("missing_subprotocol", message);
}

function authenticate(http: WithHeaders, offered: string[], services: Services): Principal {
  const key = offered.find((item) => item.startsWith(KEY_PROTOCOL));
  if (key !== undefined) return services.keys.authenticateKey(key.slice(KEY_PROTOCOL.length));
  return services.keys.authenticate(http.headers.get("authorization"));
}

/** Ties the library's events to a session's calls. */
function runSocket(socket: WebSocket, start: (client: ClientSocket) => GenerateSocket): void {
  let cut: ReturnType<typeof setTimeout> | undefined;
  const session = start({
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send: (text) => socket.send(text),
    close: (code, reason) => {
      if (socket.readyState === socket.CLOSED) return;
      socket.close(code, reason);
      // What a peer sends is read until it closes too, which a hostile one never does.
      cut ??= setTimeout(() => socket.terminate(), GOODBYE_MS);
    },
  });
  session.rekey(session.services.keys); // They may have changed since the handshake.
  if (session.services.draining) session.drain();
  let isAlive = true;
  const ping = setInterval(() => {
    if (!isAlive) return socket.terminate();
    isAlive = false;
    socket.ping();
  }, PING_MS);
  socket.on("pong", () => isAlive = true);
  // `receive()` and `close()` do not throw: a throw in these handlers would end the process.
  socket.on("message", (message, isBinary) => {
    isAlive = true;
    session.receive(isBinary ? undefined : message.toString());
  });
  // A frame that breaks the protocol, or a message past the bound: the library says so to the peer.
  socket.on("error", () => session.close(1011, "socket error"));
  socket.on("close", () => {
    clearInterval(ping);
    clearTimeout(cut);
    session.close();
  });
}
