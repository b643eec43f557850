/** One WebSocket to a node: dials, encodes, decodes, notices silence. Knows no stream. @module */
import { decodeFrames, encodeFrame, type Frame } from "../proto/frame.ts";
import { LIMITS, SUBPROTOCOL } from "../proto/limits.ts";

const CONNECT_MS_MAX = 5_000;
/** A node reports at least once a second, so a silence this long is a dead one. */
export const SILENCE_MS_MAX = 10_000;
const WATCH_MS = 1_000;
/** Sent but not taken by the network: past this, no new stream goes to the node. */
export const BUFFERED_BYTES_MAX = 2 * LIMITS.frameBytesMax;

export interface NodeSocketHandlers {
  onOpen(): void;
  /** May throw: the socket then closes with the error as its reason. */
  onFrame(frame: Frame): void;
  /** Called once, whatever ended it. */
  onClose(reason: string): void;
}

export class NodeSocket {
  readonly #socket: WebSocket;
  readonly #handlers: NodeSocketHandlers;
  readonly #now: () => number;
  readonly #watch: ReturnType<typeof setInterval>;
  #heardAt: number;
  #closed = false;

  constructor(
    url: string,
    token: string | undefined,
    now: () => number,
    handlers: NodeSocketHandlers,
  ) {
    this.#handlers = handlers;
    this.#now = now;
    this.#heardAt = now();
    this.#socket = dial(url, token);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => this.#guard(() => this.#opened());
    this.#socket.onmessage = (event) => this.#guard(() => this.#received(event.data));
    this.#socket.onerror = (event) => this.close(errorText(event));
    this.#socket.onclose = (event) => this.close(event.reason || `closed with ${event.code}`);
    this.#watch = setInterval(() => this.#checkSilence(), WATCH_MS);
  }

  get congested(): boolean {
    return this.#socket.bufferedAmount > BUFFERED_BYTES_MAX;
  }

  /** @throws {FrameError} If the frame is over the wire's bounds; nothing is sent then. */
  send(frame: Frame): void {
    const bytes = encodeFrame(frame);
    if (!this.#closed && this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(bytes as Uint8Array<ArrayBuffer>);
    }
  }

  /** Idempotent. */
  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    try {
      this.#socket.close();
    } catch {
      // Some states refuse a close; the socket is dropped all the same.
    }
    this.#handlers.onClose(reason);
  }

  #opened(): void {
    this.#heardAt = this.#now();
    if (this.#socket.protocol !== SUBPROTOCOL) {
      throw new Error(`Cannot talk to node: it did not agree to ${SUBPROTOCOL}`);
    }
    this.#handlers.onOpen();
  }

  #received(message: unknown): void {
    if (this.#closed) return; // Frames may still arrive after we gave the socket up.
    this.#heardAt = this.#now();
    if (!(message instanceof ArrayBuffer)) throw new Error("Cannot read frame: it is text");
    for (const frame of decodeFrames(new Uint8Array(message))) {
      if (this.#closed) return; // One of them was a reason to give the socket up.
      this.#handlers.onFrame(frame);
    }
  }

  #checkSilence(): void {
    const silentMs = this.#now() - this.#heardAt;
    const connecting = this.#socket.readyState === WebSocket.CONNECTING;
    if (silentMs > (connecting ? CONNECT_MS_MAX : SILENCE_MS_MAX)) {
      this.close(`silent for ${Math.round(silentMs)} ms`);
    }
  }

  /** A throw in a WebSocket handler would end the process. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.close(error instanceof Error ? error.message : String(error));
    }
  }
}

/** The token travels as a header, which Deno's WebSocket can send; other platforms' cannot, and
 * there the node must be reached over a network that is trusted by itself. */
function dial(url: string, token: string | undefined): WebSocket {
  if (token === undefined) return new WebSocket(url, SUBPROTOCOL);
  return new WebSocket(url, {
    protocols: [SUBPROTOCOL],
    headers: { authorization: `Bearer ${token}` },
  } as unknown as string[]);
}

function errorText(event: Event): string {
  return event instanceof ErrorEvent && event.message !== "" ? event.message : "socket error";
}
