/** A gateway's WebSocket: from the library's events to a session's calls. @module */

// @ts-types="@types/ws"
import type { RawData, WebSocket } from "ws";
import { Buffer } from "node:buffer";
import type { Log } from "./log.ts";
import { Session, type SessionHooks, type SessionSocket } from "./session.ts";

/** Within which the first frame must come. */
const HELLO_MS_MAX = 5_000;
const PING_MS = 10_000;
/** How long a peer may take to answer a close frame. */
const GOODBYE_MS = 500;
/** What a peer may leave unread before it is cut: its streams are paused long before. */
const BUFFERED_BYTES_MAX = 16 << 20;

export interface SocketTimes {
  helloMs: number;
  pingMs: number;
}

export const SOCKET_TIMES: SocketTimes = { helloMs: HELLO_MS_MAX, pingMs: PING_MS };

/** Ties a socket to a new session until it closes. */
export function runSocket(
  socket: WebSocket,
  hooks: SessionHooks,
  times: SocketTimes,
  log: Log,
  closed: (session: Session) => void,
): Session {
  let isAlive = true;
  let cut: ReturnType<typeof setTimeout> | undefined;
  const session = new Session(sessionSocket(socket), hooks);
  const hello = setTimeout(() => session.greeted || socket.close(1008, "hello"), times.helloMs);
  const ping = setInterval(() => {
    if (!isAlive || socket.bufferedAmount > BUFFERED_BYTES_MAX) {
      log("warn", "socket.cut", { silent: !isAlive, buffered: socket.bufferedAmount });
      return socket.terminate();
    }
    isAlive = false;
    socket.ping();
  }, times.pingMs);
  socket.on("pong", () => isAlive = true);
  socket.on("message", (message: RawData, isBinary: boolean) => {
    isAlive = true;
    // A throw in this handler would end the process, and with it every other gateway's streams.
    try {
      if (isBinary) session.receive(asBytes(message));
      else session.receiveText();
    } catch (error) {
      log("error", "socket.bug", { error: String(error) });
      session.dispose();
      socket.close(1011, "internal");
    }
  });
  socket.on("error", (error: Error) => {
    log("warn", "socket.error", { error: error.message });
    // The library has answered with a close frame, and now discards what comes until the peer
    // closes too, which a hostile one never does.
    session.dispose();
    cut = setTimeout(() => socket.terminate(), GOODBYE_MS);
  });
  socket.on("close", () => {
    clearTimeout(hello);
    clearTimeout(cut);
    clearInterval(ping);
    session.dispose();
    closed(session);
  });
  return session;
}

function sessionSocket(socket: WebSocket): SessionSocket {
  return {
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
    // An error here is followed by "close", which is where it is handled.
    send: (bytes, sent) => socket.send(bytes, () => sent()),
    close: (code, reason) => socket.close(code, reason),
    terminate: () => socket.terminate(),
  };
}

function asBytes(message: RawData): Uint8Array {
  if (message instanceof ArrayBuffer) return new Uint8Array(message);
  return Array.isArray(message) ? Buffer.concat(message) : message;
}
