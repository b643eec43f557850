/** The listener's connections: which of them are asked for something, and which read nothing of
 * what they got. @module */
import type { ServerResponse } from "node:http";
import type { Duplex } from "node:stream";

/** How long a peer that was told to go may stay. */
const LINGER_MS = 1000;
const LOOK_MS = 1000;

export class Connection {
  /** A WebSocket, which is closed by whoever opened it. */
  isSocket = false;
  #answers = 0;
  /** When the last byte of an answer was given, of which not all is taken yet. */
  #endedAt: number | undefined;

  constructor(readonly socket: Duplex) {}

  get isBusy(): boolean {
    return this.#answers > 0 || this.isSocket;
  }

  /** A request has come. */
  begin(outgoing: ServerResponse): { ended(): void } {
    ++this.#answers;
    outgoing.once("finish", () => {
      --this.#answers;
      this.#endedAt = undefined;
    });
    return { ended: () => this.#endedAt ??= performance.now() };
  }

  isUnread(now: number, mostMs: number): boolean {
    return this.#endedAt !== undefined && now - this.#endedAt > mostMs;
  }

  /** Says goodbye, and is gone soon whether that is heard or not. */
  end(): void {
    const { socket } = this;
    const cut = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once("close", () => clearTimeout(cut));
    socket.end();
    socket.resume();
  }
}

export class Connections {
  readonly #all = new Map<Duplex, Connection>();
  readonly #readerMsMax: () => number;
  #looks: ReturnType<typeof setInterval> | undefined;
  #isClosing = false;

  constructor(readerMsMax: () => number) {
    this.#readerMsMax = readerMsMax;
  }

  of(socket: Duplex): Connection | undefined {
    return this.#all.get(socket);
  }

  add(socket: Duplex): void {
    if (this.#isClosing) return void socket.destroy();
    this.#all.set(socket, new Connection(socket));
    // One for each request that waits on it.
    socket.setMaxListeners(0);
    this.#looks ??= setInterval(() => this.#look(), LOOK_MS);
    socket.once("close", () => {
      this.#all.delete(socket);
      if (this.#all.size > 0) return;
      clearInterval(this.#looks);
      this.#looks = undefined;
    });
  }

  /** Resolves when all are gone. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    const connections = [...this.#all.values()];
    const gone = connections.map(({ socket }) =>
      new Promise<void>((resolve) => socket.once("close", () => resolve()))
    );
    for (const { isBusy, socket } of connections) if (!isBusy) socket.destroy();
    const cut = setTimeout(() => {
      for (const { socket } of connections) socket.destroy();
    }, graceMs);
    await Promise.all(gone);
    clearTimeout(cut);
  }

  #look(): void {
    const now = performance.now(), mostMs = this.#readerMsMax();
    for (const connection of this.#all.values()) {
      if (connection.isUnread(now, mostMs)) connection.socket.destroy();
    }
  }
}
