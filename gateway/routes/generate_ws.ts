/** `GET /v1/generate`: the WebSocket that carries many generations. @module */
import type { Principal } from "../auth.ts";
import { ApiError, badRequest, unavailable } from "../errors.ts";
import { GenerateSocket } from "../generate_socket.ts";
import { checkOrigin } from "../http_guard.ts";
import { readRouting } from "../routing_headers.ts";
import type { Services } from "../services.ts";
import type { ClientSocket } from "../socket_writer.ts";
import type { Route } from "./route.ts";

export const SUBPROTOCOL = "redraft.json.v1";
/** How a browser brings its key, as at OpenAI: never in the URL, which ends up in logs. */
const KEY_PROTOCOL = "openai-insecure-api-key.";
const IDLE_SECONDS_MAX = 60;

export const generateRoute: Route = {
  method: "GET",
  path: "/v1/generate",
  scope: "socket",
  handle: ({ c, services, requestId }) => {
    // All headers are read before the upgrade: after it, they are gone.
    const http = c.req.raw;
    const offered = readProtocols(http);
    const principal = authenticate(http, offered, services);
    checkOrigin(http, services);
    if (http.headers.get("upgrade")?.toLowerCase() !== "websocket") {
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
    const start = (socket: ClientSocket) =>
      new GenerateSocket(services, principal, socket, handshake);
    services.log.write("debug", "socket.open", { request_id: requestId });
    const leave = services.socketSlots.take(principal, services.options.socketsMax);
    try {
      return upgrade(http, protocol, start, leave);
    } catch (error) {
      leave();
      if (!(error instanceof TypeError)) throw error;
      // Deno's words, which name the header at fault.
      throw badRequest("invalid_upgrade", `${error.message}.`);
    }
  },
};

function readProtocols(http: Request): string[] {
  const header = http.headers.get("sec-websocket-protocol") ?? "";
  return header.split(",").map((item) => item.trim()).filter((item) => item !== "");
}

/** Who offers any must be told one of them, or a browser gives the connection up; and the only one
 * that may be told is ours, as the other is the key. Other clients do not mind.
 * @throws {ApiError} 400. */
function chooseProtocol(http: Request, offered: string[]): string | undefined {
  if (offered.includes(SUBPROTOCOL)) return SUBPROTOCOL;
  if (offered.length === 0 || http.headers.get("origin") === null) return undefined;
  const message = `Offer the subprotocol '${SUBPROTOCOL}' too: a browser needs one to be chosen.`;
  throw badRequest("missing_subprotocol", message);
}

function authenticate(http: Request, offered: string[], services: Services): Principal {
  const key = offered.find((item) => item.startsWith(KEY_PROTOCOL));
  if (key !== undefined) return services.keys.authenticateKey(key.slice(KEY_PROTOCOL.length));
  return services.keys.authenticate(http.headers.get("authorization"));
}

function upgrade(
  http: Request,
  protocol: string | undefined,
  start: (socket: ClientSocket) => GenerateSocket,
  leave: () => void,
): Response {
  const { socket, response } = Deno.upgradeWebSocket(http, {
    protocol,
    idleTimeout: IDLE_SECONDS_MAX,
  });
  let session: GenerateSocket | undefined;
  let isReceiving = false;
  const client: ClientSocket = {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    send: (text) => socket.send(text),
    // Closed within the handler of a message that has others behind it, Deno drops the connection
    // without a close frame, and the client never learns why. A turn later the frame goes out.
    close: (code, reason) => {
      if (isReceiving) setTimeout(() => socket.close(code, reason));
      else socket.close(code, reason);
    },
  };
  // `receive()` and `close()` do not throw: a throw in these handlers would end the process.
  socket.onopen = () => {
    session = start(client);
    session.rekey(session.services.keys); // They may have changed since the handshake.
    if (session.services.draining) session.drain();
  };
  socket.onmessage = (event) => {
    isReceiving = true;
    session?.receive(event.data);
    isReceiving = false;
  };
  socket.onerror = () => {
    if (session === undefined) leave(); // It never opened: no close follows.
    session?.close(1011, "socket error");
  };
  socket.onclose = () => {
    leave();
    session?.close();
  };
  return response;
}
