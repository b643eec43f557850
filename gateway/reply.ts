/** What a route answers: kept plain, since `node:http` takes plain headers and text, and a web
 * `Response` would be made only to be taken apart. Pure. @module */
// @ts-types="@types/ws"
import type { WebSocket } from "ws";

/** Where a body that comes bit by bit is written to. */
export interface ReplySink {
  /** @param taken Called when the connection has taken it; until then, nothing more is given. */
  write(text: string, taken: () => void): void;
  end(text: string): void;
  /** Breaks the connection off, so that nobody takes the body for whole. */
  destroy(): void;
}

export interface ReplyStream {
  open(sink: ReplySink): void;
  /** The connection is gone, after its end too. */
  cancel(): void;
}

/** Of a WebSocket. */
export interface ReplyUpgrade {
  protocol: string | undefined;
  /** The handshake is done. */
  open(socket: WebSocket): void;
  /** Once, when the connection is gone, whether it was opened or not. */
  gone(): void;
}

export interface ReplyInit {
  status?: number;
  headers?: Readonly<Record<string, string>>;
  upgrade?: ReplyUpgrade;
}

export class Reply {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Record<string, string>;
  readonly upgrade: ReplyUpgrade | undefined;

  constructor(readonly body: string | ReplyStream | null, init: ReplyInit = {}) {
    this.status = init.status ?? 200;
    this.headers = { ...init.headers };
    this.upgrade = init.upgrade;
  }

  static json(value: unknown, init: ReplyInit = {}): Reply {
    const headers = { "content-type": "application/json", ...init.headers };
    return new Reply(JSON.stringify(value), { ...init, headers });
  }
}
