/** A reply on its way to the client. @module */
import { Buffer } from "node:buffer";
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import type { HttpRequest } from "./http_request.ts";
import type { Reply, ReplyStream } from "./reply.ts";

/** For what a client still sends when it has been answered: cut at once, the connection would be
 * reset, and the answer lost with it. */
const LINGER_MS = 1000;

export interface SendOptions {
  isHead: boolean;
  /** The request, where its client is still sending it. */
  coming?: IncomingMessage;
  /** Nothing more comes. */
  onEnd?: () => void;
}

export function isStream(body: Reply["body"]): body is ReplyStream {
  return typeof body === "object" && body !== null;
}

/** @throws {TypeError} For a header that cannot be written; a stream is cancelled then. */
export function sendReply(
  request: HttpRequest,
  outgoing: ServerResponse,
  { status, headers, body }: Reply,
  { isHead, coming, onEnd = () => {} }: SendOptions,
): void {
  if (isStream(body)) return sendStream(request, outgoing, { status, headers, body }, onEnd);
  if (status !== 204 && status !== 304) {
    headers["content-length"] = String(Buffer.byteLength(body ?? ""));
  }
  outgoing.writeHead(status, headers);
  const text = isHead ? "" : body ?? "";
  onEnd();
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

function sendStream(
  request: HttpRequest,
  outgoing: ServerResponse,
  { status, headers, body }: { status: number; headers: Reply["headers"]; body: ReplyStream },
  onEnd: () => void,
): void {
  request.onLeave = () => body.cancel();
  try {
    outgoing.writeHead(status, headers);
    body.open({
      write: (text, taken) => outgoing.write(text, taken),
      end: (text) => {
        onEnd();
        outgoing.end(text);
      },
      destroy: () => outgoing.destroy(),
    });
  } catch (error) {
    body.cancel();
    throw error;
  }
}

/** Answers what is no request that could be read. */
export function sendRefusal(socket: Duplex, status: 400 | 431): void {
  if (!socket.writable) return void socket.destroy();
  const [code, message] = status === 431
    ? ["headers_too_large", "The request's headers are too large."]
    : ["invalid_request", "This is no HTTP/1.1 request."];
  const error = { message, type: "invalid_request_error", param: null, code };
  const body = JSON.stringify({ error });
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    "content-type: application/json",
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => socket.destroy());
}
