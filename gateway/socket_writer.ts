/** What goes out on one client's WebSocket: events as text, and whether the reader keeps up.
 * @module */

/** Unsent bytes past which nothing more is taken from the generations: their credit runs out. */
export const BUFFERED_BYTES_HIGH = 1 << 20;
/** A reader who takes nothing for this long is gone. */
const STALL_MS_MAX = 30_000;
/** A WebSocket does not say when it has drained, so a full one is asked again. */
const DRAIN_POLL_MS = 20;

/** The part of a WebSocket that we use; tests bring their own. */
export interface ClientSocket {
  readonly bufferedAmount: number;
  send(text: string): void;
  close(code: number, reason: string): void;
}

export interface WriterOptions {
  now: () => number;
  /** The socket is of no more use. */
  onLost: (code: number, reason: string) => void;
  /** It was congested, and may have drained. */
  onPoll: () => void;
}

export class SocketWriter {
  #stalledSince: number | undefined;
  #pollTimer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(readonly socket: ClientSocket, readonly options: WriterOptions) {}

  send(text: string): void {
    if (this.#closed) return;
    try {
      this.socket.send(text);
    } catch {
      this.options.onLost(1011, "cannot send");
    }
  }

  /** Where it is, `onPoll` comes after a while. */
  isCongested(): boolean {
    if (this.socket.bufferedAmount <= BUFFERED_BYTES_HIGH) {
      this.#stalledSince = undefined;
      return false;
    }
    const now = this.options.now();
    this.#stalledSince ??= now;
    if (now - this.#stalledSince > STALL_MS_MAX) {
      this.options.onLost(1013, "the reader is too slow");
      return true;
    }
    this.#pollTimer ??= setTimeout(() => {
      this.#pollTimer = undefined;
      this.options.onPoll();
    }, DRAIN_POLL_MS);
    return true;
  }

  close(code: number, reason: string): void {
    this.#closed = true;
    clearTimeout(this.#pollTimer);
    try {
      this.socket.close(code, reason);
    } catch {
      // Already closed by the other side.
    }
  }
}
