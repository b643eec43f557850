/** A node as the gateway holds it: connects and reconnects, shakes hands, loads the tokenizer,
 * carries streams. @module */
import type * as frames from "../proto/frame_types.ts";
import { LIMITS, PROTOCOL_VERSION } from "../proto/limits.ts";
import { Circuit } from "./circuit.ts";
import { NodeSocket } from "./node_socket.ts";
import type { ServedModel } from "./served_model.ts";
import { TokenizerDownload } from "./tokenizer_download.ts";

const BACKOFF_MS_LEAST = 100;
const BACKOFF_MS_MOST = 10_000;
const HANDSHAKE_MS_MAX = 30_000;

/** Takes what a node sends for one stream. Exactly one of the last three is called, once. */
export interface StreamSink {
  onTokens(frame: frames.TokensFrame): void;
  onFinish(frame: frames.FinishFrame): void;
  onFailure(frame: frames.FailureFrame): void;
  onLost(): void;
}

export type LinkState = "connecting" | "handshake" | "ready" | "draining" | "closed";

export interface NodeLinkOptions {
  url: string;
  token: string | undefined;
  gatewayId: string;
  now: () => number;
  random: () => number;
  /** A model known already, so that its tokenizer need not be sent again. */
  knownModel(card: frames.ModelCard): ServedModel | undefined;
  loadModel(
    card: frames.ModelCard,
    pageTokens: number,
    tokenizerJson: Uint8Array,
  ): ServedModel | Promise<ServedModel>;
  /** @throws {Error} To refuse the node, such as for serving another model by a known name. */
  onReady(link: NodeLink, model: ServedModel): void;
  onStatus(link: NodeLink, status: frames.StatusFrame): void;
  onDown(link: NodeLink, reason: string): void;
  /** It may have room for more. */
  onCapacity(): void;
}

export class NodeLink {
  state: LinkState = "connecting";
  welcome: frames.WelcomeFrame | undefined;
  model: ServedModel | undefined;
  status: frames.StatusFrame | undefined;
  /** Requests picked for this node, ever. */
  pickedCount = 0;
  /** Connections to it, ever. */
  connectCount = 0;
  readonly circuit = new Circuit();
  readonly #options: NodeLinkOptions;
  readonly #streams = new Map<number, StreamSink>();
  #socket: NodeSocket | undefined;
  #download: TokenizerDownload | undefined;
  #nextStreamId = 1;
  #othersCount = 0;
  #failures = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: NodeLinkOptions) {
    this.#options = options;
    this.#connect();
  }

  get url(): string {
    return this.#options.url;
  }

  get usable(): boolean {
    return this.state === "ready" && this.#streams.size < LIMITS.streamsPerSocketMax &&
      this.#socket?.congested === false;
  }

  /** Sequences on the node: ours, which we know, and others' by its latest report. A report is
   * always a little old, so ours of that time are taken off it rather than the report trusted. */
  get activeCount(): number {
    return this.#othersCount + this.#streams.size;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** @throws {FrameError} If the request is past what the wire carries; no stream starts then. */
  submit(submit: Omit<frames.SubmitFrame, "kind" | "streamId">, sink: StreamSink): OpenStream {
    const streamId = this.#nextStreamId;
    this.#send({ kind: "submit", streamId, ...submit });
    this.#nextStreamId = streamId === 0xffff_ffff ? 1 : streamId + 1;
    this.#streams.set(streamId, sink);
    ++this.pickedCount;
    return {
      grant: (tokens) => {
        if (this.#streams.has(streamId)) this.#send({ kind: "credit", streamId, tokens });
      },
      cancel: () => {
        if (this.#streams.has(streamId)) this.#send({ kind: "cancel", streamId });
      },
    };
  }

  /** Ends the link for good; its streams are lost. */
  close(): void {
    this.state = "closed";
    clearTimeout(this.#timer);
    this.#socket?.close("the gateway is closing");
  }

  #connect(): void {
    this.state = "connecting";
    ++this.connectCount;
    this.#socket = new NodeSocket(this.#options.url, this.#options.token, this.#options.now, {
      onOpen: () => {
        this.state = "handshake";
        const { gatewayId } = this.#options;
        const protocolVersion = PROTOCOL_VERSION;
        this.#send({ kind: "hello", protocolVersion, gatewayId, takesSeveral: true });
        this.#timer = setTimeout(
          () => this.#socket?.close("the handshake took too long"),
          HANDSHAKE_MS_MAX,
        );
      },
      onFrame: (frame) => this.#take(frame),
      onClose: (reason) => this.#down(reason),
    });
  }

  #down(reason: string): void {
    clearTimeout(this.#timer);
    this.#socket = undefined;
    this.#download = undefined;
    this.status = undefined;
    this.#othersCount = 0;
    const lost = [...this.#streams.values()];
    this.#streams.clear();
    const closing = this.state === "closed";
    if (!closing) {
      this.state = "connecting";
      this.#timer = setTimeout(() => this.#connect(), this.#backoffMs());
      ++this.#failures;
    }
    this.#options.onDown(this, reason);
    for (const sink of lost) sink.onLost();
  }

  /** Full jitter over an exponential bound: gateways that lost a node together come back apart. */
  #backoffMs(): number {
    const bound = Math.min(BACKOFF_MS_MOST, BACKOFF_MS_LEAST * 2 ** Math.min(this.#failures, 10));
    return BACKOFF_MS_LEAST / 2 + this.#options.random() * bound;
  }

  #send(frame: frames.Frame): void {
    this.#socket?.send(frame);
  }

  #take(frame: frames.Frame): void {
    switch (frame.kind) {
      case "tokens":
        this.#streams.get(frame.streamId)?.onTokens(frame);
        return;
      case "finish":
        this.#end(frame.streamId)?.onFinish(frame);
        this.#options.onCapacity();
        return;
      case "failure":
        if (frame.streamId === 0) throw new Error(`${frame.code}: ${frame.message}`);
        this.#end(frame.streamId)?.onFailure(frame);
        this.#options.onCapacity();
        return;
      case "status":
        this.status = frame;
        this.#othersCount = Math.max(0, frame.slotsBusy + frame.queueCount - this.#streams.size);
        this.#options.onStatus(this, frame);
        this.#options.onCapacity();
        return;
      case "welcome":
        this.#greet(frame);
        return;
      case "tokenizerChunk":
        this.#takeChunk(frame);
        return;
      case "drain":
        if (this.state === "ready") this.state = "draining";
        return;
      default:
        throw new Error(`Cannot take frame: a node does not send ${frame.kind}`);
    }
  }

  #end(streamId: number): StreamSink | undefined {
    const sink = this.#streams.get(streamId);
    this.#streams.delete(streamId);
    return sink;
  }

  #greet(welcome: frames.WelcomeFrame): void {
    if (this.state !== "handshake" || this.#download !== undefined) {
      throw new Error("Cannot take welcome: not in a handshake");
    }
    if (welcome.protocolVersion !== PROTOCOL_VERSION) {
      throw new Error(`Cannot talk to node: it speaks version ${welcome.protocolVersion}`);
    }
    this.welcome = welcome;
    const known = this.#options.knownModel(welcome.model);
    if (known !== undefined) {
      this.#ready(known);
      return;
    }
    const digest = welcome.model.tokenizerDigest;
    this.#download = new TokenizerDownload(digest);
    this.#send({ kind: "tokenizerGet", digest });
  }

  #takeChunk(chunk: frames.TokenizerChunkFrame): void {
    if (this.#download === undefined) throw new Error("Cannot take tokenizer: none was asked for");
    const json = this.#download.push(chunk);
    if (json === undefined) return;
    this.#download = undefined;
    const socket = this.#socket;
    const { model, pageTokens } = this.welcome!;
    // A promise even for a plain value, so that a throw of the loader takes the same way out.
    Promise.resolve().then(() => this.#options.loadModel(model, pageTokens, json)).then(
      (loaded) => {
        if (this.#socket === socket) this.#ready(loaded);
      },
    ).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      if (this.#socket === socket) socket?.close(reason);
    });
  }

  #ready(model: ServedModel): void {
    this.#options.onReady(this, model);
    clearTimeout(this.#timer);
    this.model = model;
    this.state = "ready";
    this.#failures = 0;
    this.#options.onCapacity();
  }
}

/** The gateway's end of a stream; both calls do nothing once it has ended. */
export interface OpenStream {
  grant(tokens: number): void;
  cancel(): void;
}
