/** A node that does as a test says, over the real wire: real frames on a real WebSocket, but no
 * model. Its tokens are bytes. @module */
import { createHash } from "node:crypto";
import { decodeFrame, encodeFrame, type Frame, joinFrames } from "../../proto/frame.ts";
import type {
  ModelCard,
  NodeTotals,
  StatusFrame,
  StepTrace,
  SubmitFrame,
} from "../../proto/frame_types.ts";
import { LIMITS, PROTOCOL_VERSION, SUBPROTOCOL } from "../../proto/limits.ts";
import { ScriptedStream } from "./scripted_stream.ts";

export { ScriptedStream, STOP_TOKEN } from "./scripted_stream.ts";
export const SCRIPTED_VOCAB = 257;
const TOKENIZER_JSON = new TextEncoder().encode('{"model":"scripted"}');

export interface ScriptedNodeOptions {
  modelId?: string;
  modelDigest?: string;
  contextMax?: number;
  slotsMax?: number;
  queueMax?: number;
  backend?: string;
  /** Of a real tokenizer, for gateways that load one. */
  tokenizerJson?: Uint8Array;
  vocabSize?: number;
  /** Tokens between what the gateway must send to be let in. */
  token?: string;
}

export type Script = (stream: ScriptedStream) => void | Promise<void>;

/** Answers every prompt with "Hello, world!", and a cancelled stream with its finish. */
export const GREETING: Script = (stream) => {
  stream.text("Hello,");
  stream.text(" world!");
  stream.finish();
};

export class ScriptedNode {
  script: Script = GREETING;
  readonly submits: SubmitFrame[] = [];
  readonly cancels: number[] = [];
  /** Open ones, by stream id. */
  readonly streams = new Map<number, ScriptedStream>();
  readonly authorizations: Array<string | null> = [];
  readonly card: ModelCard;
  readonly #totals = { promptTokens: 0, cachedTokens: 0, steps: 0, draftedTokens: 0 };
  readonly #acceptedByDepth: number[] = new Array(LIMITS.beamLengthMax - 1).fill(0);
  #socket: WebSocket | undefined;
  #takesSeveral = false;
  #waiting: Uint8Array[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #options: ScriptedNodeOptions;
  readonly #tokenizerJson: Uint8Array;
  /** The last socket's end. */
  #gone = Promise.resolve();
  #stopped: Promise<void> | undefined;
  #reports: ReturnType<typeof setInterval> | undefined;

  constructor(options: ScriptedNodeOptions = {}, port = 0) {
    this.#options = options;
    this.#tokenizerJson = options.tokenizerJson ?? TOKENIZER_JSON;
    this.card = {
      id: options.modelId ?? "scripted",
      digest: options.modelDigest ?? "ab".repeat(32),
      tokenizerDigest: createHash("sha256").update(this.#tokenizerJson).digest("hex"),
      headDigest: "",
      vocabSize: options.vocabSize ?? SCRIPTED_VOCAB,
      contextMax: options.contextMax ?? 4096,
      created: 1_700_000_000,
      architecture: "scripted",
    };
    this.#server = Deno.serve(
      { port, hostname: "127.0.0.1", onListen: () => {} },
      (request) => this.#accept(request),
    );
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}/`;
  }

  get port(): number {
    return this.#server.addr.port;
  }

  /** Frames of one turn leave as one message, as a node's do, where the gateway takes that. */
  send(frame: Frame): void {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    if (!this.#takesSeveral) return this.sendBytes(encodeFrame(frame));
    if (this.#waiting.length === 0) queueMicrotask(() => this.#flush());
    this.#waiting.push(encodeFrame(frame));
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const message = joinFrames(this.#waiting);
    this.#waiting = [];
    if (this.#socket?.readyState === WebSocket.OPEN) this.sendBytes(message);
  }

  /** Bytes that are no frame. */
  sendBytes(bytes: Uint8Array): void {
    this.#socket?.send(bytes as Uint8Array<ArrayBuffer>);
  }

  get totals(): NodeTotals {
    return { ...this.#totals, acceptedByDepth: [...this.#acceptedByDepth] };
  }

  count(steps: readonly StepTrace[]): void {
    for (const { draftedCount, acceptedCount } of steps) {
      this.#totals.steps++;
      this.#totals.draftedTokens += draftedCount;
      for (let depth = 0; depth < acceptedCount; ++depth) this.#acceptedByDepth[depth]! += 1;
    }
  }

  status(more: Partial<StatusFrame> = {}): void {
    this.send({
      kind: "status",
      queueCount: 0,
      slotsBusy: this.streams.size,
      pagesFree: 100,
      blocksStored: new BigUint64Array(),
      blocksRemoved: new BigUint64Array(),
      tokensPerStep: 2.5,
      tokensPerSecond: 100,
      contextTokensWaiting: 0,
      totals: this.totals,
      ...more,
    });
  }

  /** Drops the connection, as a crash would; the gateway may come back. */
  dropConnection(): void {
    this.#flush();
    this.#socket?.close();
    this.streams.clear();
  }

  /** Idempotent. */
  stop(): Promise<void> {
    clearInterval(this.#reports);
    this.dropConnection();
    return this.#stopped ??= Promise.all([this.#server.shutdown(), this.#gone]).then(() => {});
  }

  #accept(request: Request): Response {
    const authorization = request.headers.get("authorization");
    this.authorizations.push(authorization);
    const { token } = this.#options;
    if (token !== undefined && authorization !== `Bearer ${token}`) {
      return new Response(null, { status: 401 });
    }
    const { socket, response } = Deno.upgradeWebSocket(request, { protocol: SUBPROTOCOL });
    socket.binaryType = "arraybuffer";
    const gone = Promise.withResolvers<void>();
    socket.onopen = () => {
      this.#socket = socket;
      this.#gone = gone.promise;
      clearInterval(this.#reports);
      this.#reports = setInterval(() => this.status(), 500);
    };
    socket.onmessage = (event) => this.#take(decodeFrame(new Uint8Array(event.data)));
    socket.onclose = () => {
      if (this.#socket === socket) clearInterval(this.#reports);
      gone.resolve();
    };
    socket.onerror = () => {};
    return response;
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case "hello":
        this.#takesSeveral = frame.takesSeveral ?? false;
        this.send({
          kind: "welcome",
          protocolVersion: PROTOCOL_VERSION,
          nodeId: "scripted",
          model: this.card,
          pageTokens: 16,
          slotsMax: this.#options.slotsMax ?? 8,
          pagesMax: 1024,
          queueMax: this.#options.queueMax ?? 64,
          backend: this.#options.backend ?? "scripted",
        });
        return;
      case "tokenizerGet":
        this.#sendTokenizer(frame.digest);
        return;
      case "submit": {
        this.submits.push(frame);
        this.#totals.promptTokens += frame.tokens.length;
        const stream = new ScriptedStream(this, frame);
        this.streams.set(frame.streamId, stream);
        this.script(stream);
        return;
      }
      case "cancel": {
        this.cancels.push(frame.streamId);
        const stream = this.streams.get(frame.streamId);
        if (stream === undefined) return;
        stream.cancelled = true;
        stream.finish("cancelled");
        stream.wake();
        return;
      }
      case "credit": {
        const stream = this.streams.get(frame.streamId);
        if (stream === undefined) return;
        stream.credit += frame.tokens;
        stream.wake();
      }
    }
  }

  /** In two pieces at least. */
  #sendTokenizer(digest: string): void {
    const whole = this.#tokenizerJson;
    const pieceBytes = Math.min(LIMITS.tokenizerChunkBytesMax, Math.ceil(whole.length / 2));
    const count = Math.ceil(whole.length / pieceBytes);
    for (let index = 0; index < count; ++index) {
      const json = whole.slice(index * pieceBytes, (index + 1) * pieceBytes);
      this.send({ kind: "tokenizerChunk", digest, index, count, json });
    }
  }
}
