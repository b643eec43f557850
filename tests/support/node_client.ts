/** A gateway of a few lines: dials a node, sends frames and collects what comes back. @module */

import assert from "node:assert/strict";
import {
  decodeFrames,
  encodeFrame,
  type FailureFrame,
  type FinishFrame,
  type Frame,
  type FrameKind,
  type SubmitFrame,
} from "../../proto/frame.ts";
import { PROTOCOL_VERSION, SUBPROTOCOL } from "../../proto/limits.ts";

const WAIT_MS_MAX = 10_000;

export interface ClientOptions {
  token?: string;
  protocol?: string;
  headers?: Record<string, string>;
  /** Says that it reads several frames of one message. */
  takesSeveral?: boolean;
}

/** What a stream brought. */
export interface StreamEnd {
  tokens: number[];
  end: FinishFrame | FailureFrame;
}

export class NodeClient {
  /** All frames so far, in order. */
  readonly frames: Frame[] = [];
  messageCount = 0;
  /** Settles with the close code. */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  #wakes: (() => void)[] = [];
  #isClosed = false;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.closed = promise;
    socket.binaryType = "arraybuffer";
    socket.onmessage = (event) => {
      this.frames.push(...decodeFrames(new Uint8Array(event.data)));
      ++this.messageCount;
      this.#wake();
    };
    socket.onclose = (event) => {
      this.#isClosed = true;
      resolve(event.code);
      this.#wake();
    };
  }

  /** Opens a socket, without Hello. Rejects if the upgrade is refused. */
  static async dial(port: number, options: ClientOptions = {}): Promise<NodeClient> {
    const { token, protocol = SUBPROTOCOL, headers = {} } = options;
    const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const socket = new WebSocket(
      `ws://127.0.0.1:${port}/`,
      { protocols: [protocol], headers: { ...headers, ...authorization } } as unknown as string[],
    );
    const opened = Promise.withResolvers<void>();
    socket.onopen = () => opened.resolve();
    socket.onerror = (event) => {
      event.preventDefault();
      opened.reject(new Error((event as ErrorEvent).message || "socket error"));
    };
    const client = new NodeClient(socket);
    await opened.promise;
    return client;
  }

  /** Opens a socket and says Hello. */
  static async connect(port: number, options: ClientOptions = {}): Promise<NodeClient> {
    const client = await NodeClient.dial(port, options);
    const hello = { kind: "hello", protocolVersion: PROTOCOL_VERSION, gatewayId: "test" } as const;
    client.send(options.takesSeveral ? { ...hello, takesSeveral: true } : hello);
    await client.first("welcome");
    return client;
  }

  send(frame: Frame): void {
    this.sendBytes(encodeFrame(frame));
  }

  sendBytes(message: Uint8Array | string): void {
    this.#socket.send(message as Uint8Array<ArrayBuffer>);
  }

  /** Closes, and waits until it has. */
  async close(): Promise<void> {
    this.#socket.close();
    await this.closed;
  }

  /** Waits until `find` finds something in the frames. */
  async until<T>(find: (frames: readonly Frame[]) => T | undefined): Promise<T> {
    const deadline = performance.now() + WAIT_MS_MAX;
    for (;;) {
      const found = find(this.frames);
      if (found !== undefined) return found;
      assert(!this.#isClosed, `the socket closed after ${this.frames.at(-1)?.kind}`);
      const leftMs = deadline - performance.now();
      assert(leftMs > 0, "the frame came in time");
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakes.push(resolve);
      const timer = setTimeout(resolve, leftMs);
      await promise;
      clearTimeout(timer);
    }
  }

  first<K extends FrameKind>(kind: K): Promise<Extract<Frame, { kind: K }>> {
    return this.until((frames) =>
      frames.find((frame): frame is Extract<Frame, { kind: K }> => frame.kind === kind)
    );
  }

  failure(streamId: number): Promise<FailureFrame> {
    return this.until((frames) =>
      frames.find((frame): frame is FailureFrame =>
        frame.kind === "failure" && frame.streamId === streamId
      )
    );
  }

  tokens(streamId: number): number[] {
    const tokens: number[] = [];
    for (const frame of this.frames) {
      if (frame.kind !== "tokens" || frame.streamId !== streamId) continue;
      assert.equal(frame.firstIndex, tokens.length, "no token is lost or doubled");
      tokens.push(...frame.tokens);
    }
    return tokens;
  }

  /** Waits for a stream's end. */
  async end(streamId: number): Promise<StreamEnd> {
    const end = await this.until((frames) =>
      frames.find((frame): frame is FinishFrame | FailureFrame =>
        (frame.kind === "finish" || frame.kind === "failure") && frame.streamId === streamId
      )
    );
    return { tokens: this.tokens(streamId), end };
  }

  async run(submit: SubmitFrame): Promise<StreamEnd> {
    this.send(submit);
    return await this.end(submit.streamId);
  }

  #wake(): void {
    const wakes = this.#wakes;
    this.#wakes = [];
    wakes.forEach((wake) => wake());
  }
}
