/** One gateway's socket: reads frames, starts and stops streams, and leaves nothing behind when the
 * socket goes. It knows no WebSocket, only what a socket does. @module */

import {
  decodeFrame,
  encodeFrame,
  type FailureCode,
  type Frame,
  FrameError,
  joinFrames,
  type SubmitFrame,
  type WelcomeFrame,
} from "../proto/frame.ts";
import { LIMITS, PROTOCOL_VERSION } from "../proto/limits.ts";
import type { Engine, EngineEvent } from "./engine.ts";
import { requestOf, Stream } from "./stream.ts";

/** What a session asks of its socket. */
export interface SessionSocket {
  readonly bufferedAmount: number;
  /** `sent` is called once the bytes have left this process, or cannot any more. */
  send(bytes: Uint8Array, sent: () => void): void;
  /** Says goodbye; `terminate` does not. */
  close(code: number, reason: string): void;
  terminate(): void;
}

export interface SessionHooks {
  engine: Engine;
  welcome(): WelcomeFrame;
  /** A number no other sequence of this engine has. */
  nextSequenceId(): number;
  /** Hello has been answered. */
  opened(session: Session): void;
  /** An event of one of its sequences, before the stream takes it. */
  observed(frame: SubmitFrame, startedAt: number, event: EngineEvent): void;
  now(): number;
}

interface OpenStream {
  stream: Stream;
  sequenceId: number;
}

/** Unsent bytes past which all its streams pause, and below which they go on. */
const BUFFERED_BYTES_HIGH = 1 << 20;
const BUFFERED_BYTES_LOW = 1 << 18;

/** Past so many bytes, waiting frames leave as a message of their own. */
const MESSAGE_BYTES_HIGH = 1 << 16;

// RFC 6455, 7.4.1.
const CLOSE_PROTOCOL = 1002;
const CLOSE_UNSUPPORTED = 1003;
const CLOSE_MALFORMED = 1007;

export class Session {
  readonly #socket: SessionSocket;
  readonly #hooks: SessionHooks;
  readonly #streams = new Map<number, OpenStream>();
  #greeted = false;
  #draining = false;
  #closed = false;
  #congested = false;
  /** The gateway reads several frames of one message. */
  #takesSeveral = false;
  /** Encoded frames that leave as one message at the end of this turn: a step's, of all streams. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(socket: SessionSocket, hooks: SessionHooks) {
    this.#socket = socket;
    this.#hooks = hooks;
  }

  get greeted(): boolean {
    return this.#greeted;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  receive(message: Uint8Array): void {
    if (this.#closed) return;
    let frame: Frame;
    try {
      frame = decodeFrame(message);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      return this.#refuse(error);
    }
    if (!this.#greeted) return this.#greet(frame);
    this.#handle(frame);
  }

  receiveText(): void {
    this.#leave("bad_frame", "Cannot read frame: it is text, not binary", CLOSE_UNSUPPORTED);
  }

  send(frame: Frame): void {
    if (this.#closed) return;
    const bytes = encodeFrame(frame);
    if (!this.#takesSeveral) return this.#write(bytes);
    if (this.#waitingBytes + bytes.length > MESSAGE_BYTES_HIGH) this.#flush();
    if (this.#waiting.length === 0) queueMicrotask(() => this.#flush());
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
  }

  #flush(): void {
    if (this.#waiting.length === 0 || this.#closed) return;
    const message = joinFrames(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#write(message);
  }

  #write(message: Uint8Array): void {
    this.#socket.send(message, () => this.#relieve());
    if (this.#congested || this.#socket.bufferedAmount < BUFFERED_BYTES_HIGH) return;
    this.#congested = true;
    for (const { stream } of [...this.#streams.values()]) stream.setCongested(true);
  }

  /** The node drains: the gateway shall look elsewhere. */
  announceDrain(deadlineMs: number): void {
    if (this.#greeted) this.send({ kind: "drain", deadlineMs });
  }

  /** The socket is gone, and with it all that it started. */
  dispose(): void {
    if (this.#closed) return;
    this.#closed = true;
    const open = [...this.#streams.values()];
    this.#streams.clear();
    for (const { sequenceId } of open) this.#hooks.engine.cancel(sequenceId);
  }

  #greet(frame: Frame): void {
    if (frame.kind !== "hello") {
      const message = `Cannot read frame: the first is ${frame.kind}, not hello`;
      return this.#leave("bad_frame", message, CLOSE_PROTOCOL);
    }
    if (frame.protocolVersion !== PROTOCOL_VERSION) {
      const message = `Cannot talk to gateway: it speaks version ${frame.protocolVersion}, ` +
        `this node ${PROTOCOL_VERSION}`;
      return this.#leave("version", message, CLOSE_PROTOCOL);
    }
    this.#greeted = true;
    this.#takesSeveral = frame.takesSeveral ?? false;
    this.send(this.#hooks.welcome());
    this.#hooks.opened(this);
  }

  #handle(frame: Frame): void {
    switch (frame.kind) {
      case "submit":
        return this.#submit(frame);
      case "cancel": {
        const open = this.#streams.get(frame.streamId);
        // It may have ended while the frame was on its way.
        if (open !== undefined) this.#hooks.engine.cancel(open.sequenceId);
        return;
      }
      case "credit":
        this.#streams.get(frame.streamId)?.stream.addCredit(frame.tokens);
        return;
      case "tokenizerGet":
        return this.#sendTokenizer(frame.digest);
      case "drain":
        this.#draining = true;
        return;
      default:
        return this.#leave(
          "bad_frame",
          `Cannot read frame: a gateway sends no ${frame.kind} here`,
          CLOSE_PROTOCOL,
        );
    }
  }

  #submit(frame: SubmitFrame): void {
    const { streamId } = frame;
    const { engine, now, nextSequenceId, observed } = this.#hooks;
    if (this.#streams.has(streamId)) {
      // A failure of the stream would end the one that has the number by right.
      return this.#fail(0, "bad_frame", `Cannot start stream ${streamId}: it is open already`);
    }
    if (this.#draining) {
      return this.#fail(streamId, "draining", "Cannot start stream: the gateway drains", true);
    }
    if (this.#streams.size >= LIMITS.streamsPerSocketMax) {
      return this.#fail(streamId, "queue_full", "Cannot start stream: too many are open", true);
    }
    const sequenceId = nextSequenceId();
    const startedAt = now();
    const stream = new Stream(streamId, frame.credit, {
      send: (answer) => this.send(answer),
      setPaused: (paused) => engine.setPaused(sequenceId, paused),
      end: () => this.#streams.delete(streamId),
    });
    this.#streams.set(streamId, { stream, sequenceId });
    engine.submit(requestOf(frame, sequenceId, startedAt), (event) => {
      observed(frame, startedAt, event);
      if (!this.#closed) stream.take(event);
    });
    if (!this.#streams.has(streamId)) return; // Refused at once.
    stream.setCongested(this.#congested);
    stream.start();
  }

  #sendTokenizer(digest: string): void {
    const { tokenizerDigest, tokenizerJson } = this.#hooks.engine.model;
    if (digest !== tokenizerDigest) {
      const message = `Cannot send tokenizer: this node's is ${tokenizerDigest}`;
      return this.#fail(0, "bad_request", message);
    }
    const bytesMax = LIMITS.tokenizerChunkBytesMax;
    const count = Math.max(1, Math.ceil(tokenizerJson.length / bytesMax));
    for (let index = 0; index < count; index++) {
      const json = tokenizerJson.subarray(index * bytesMax, (index + 1) * bytesMax);
      this.send({ kind: "tokenizerChunk", digest, index, count, json });
    }
  }

  /** A frame that could not be read costs as little as it names: a stream, or nothing, and the
   * socket only where what follows cannot be trusted either. */
  #refuse(error: FrameError): void {
    const { code, message, streamId } = error;
    if (code === "malformed" || !this.#greeted) {
      return this.#leave("bad_frame", message, CLOSE_MALFORMED);
    }
    if (code === "unknown_kind") return this.#fail(0, "unknown_frame", message);
    if (streamId === 0 || this.#streams.has(streamId)) return this.#fail(0, "bad_frame", message);
    this.#fail(streamId, "bad_request", message);
  }

  #fail(streamId: number, code: FailureCode, message: string, replaySafe = false): void {
    this.send({
      kind: "failure",
      streamId,
      code,
      message: message.slice(0, LIMITS.messageBytesMax / 4),
      replaySafe,
    });
  }

  #leave(code: FailureCode, message: string, closeCode: number): void {
    this.#fail(0, code, message);
    this.#flush();
    this.dispose();
    // A close frame holds 123 bytes of reason; the Failure has the rest.
    this.#socket.close(closeCode, code);
  }

  #relieve(): void {
    if (!this.#congested || this.#socket.bufferedAmount > BUFFERED_BYTES_LOW) return;
    this.#congested = false;
    for (const { stream } of [...this.#streams.values()]) stream.setCongested(false);
  }
}
