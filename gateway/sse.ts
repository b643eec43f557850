/** Server-sent events: a run, written as it comes to a reader who may be slow or leave. @module */
import type { ChunkWriter } from "./answer_shape.ts";
import { type ApiError, toApiError } from "./errors.ts";
import type { ReplySink, ReplyStream } from "./reply.ts";
import type { RequestRecord } from "./request_log.ts";
import type { Run } from "./run.ts";

const KEEP_ALIVE = ": keep-alive\n\n";

export const SSE_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  // Answers are a caller's own: no proxy may keep or rewrite them.
  "cache-control": "private, no-store, no-transform",
  "x-accel-buffering": "no",
  "vary": "authorization",
} as const;

/** One write at a time: while the reader lags, pieces gather and leave as one, and the node's
 * credit runs out. */
export class SseStream implements ReplyStream {
  readonly #run: Run;
  readonly #writer: ChunkWriter;
  readonly #record: RequestRecord;
  readonly #begun: boolean[];
  readonly #finished: boolean[];
  #sink: ReplySink | undefined;
  /** The connection has taken all, and nothing was there to write. */
  #wanted = false;
  #closed = false;
  /** When the reader was last given something. */
  #gaveAt: number;
  #keepAlive: ReturnType<typeof setInterval>;

  constructor(run: Run, writer: ChunkWriter, record: RequestRecord) {
    this.#run = run;
    this.#writer = writer;
    this.#record = record;
    this.#begun = run.choices.map(() => false);
    this.#finished = run.choices.map(() => false);
    run.onWake = () => this.#flush();
    const { services } = record;
    this.#gaveAt = services.now();
    this.#keepAlive = setInterval(() => this.#beat(), services.options.keepAliveMs);
  }

  open(sink: ReplySink): void {
    this.#sink = sink;
    this.#pull();
  }

  cancel(): void {
    if (!this.#closed) this.#stop(499, "client_closed_request");
  }

  #pull(): void {
    this.#wanted = true;
    this.#flush();
  }

  #flush(): void {
    if (!this.#wanted || this.#closed) return;
    let text: string;
    try {
      text = this.#drain();
    } catch (error) {
      text = this.#fail(toApiError(error));
    }
    if (text === "") return;
    if (this.#closed) this.#sink!.end(text);
    else this.#give(text);
  }

  #give(text: string): void {
    this.#wanted = false;
    this.#gaveAt = this.#record.services.now();
    this.#sink!.write(text, () => this.#pull());
  }

  /** All that there is to write now. */
  #drain(): string {
    let text = "";
    for (const choice of this.#run.choices) {
      const { index, reader } = choice;
      if (this.#finished[index]) continue;
      for (let piece = reader.take(); piece !== undefined; piece = reader.take()) {
        text += this.#begin(index);
        this.#record.token();
        // A piece whose text is all held back has nothing to show yet, unless traced.
        if (piece.text === "" && piece.entries.length === 0 && piece.steps.length === 0) continue;
        text += this.#writer.piece(index, piece);
      }
      const outcome = reader.outcome;
      if (outcome === undefined) continue;
      if (outcome.kind === "failure") return text + this.#fail(this.#run.failureOf(choice)!);
      text += this.#begin(index) + this.#writer.finish(index, outcome.reason);
      this.#finished[index] = true;
    }
    if (!this.#finished.includes(false)) text += this.#end();
    return text;
  }

  #begin(index: number): string {
    if (this.#begun[index]) return "";
    this.#begun[index] = true;
    return this.#writer.begin(index);
  }

  #end(): string {
    const text = this.#writer.end();
    this.#stop(200);
    return text;
  }

  #fail(error: ApiError): string {
    this.#stop(error.status, error.code);
    return this.#writer.fail(error);
  }

  #stop(status: number, code?: string): void {
    this.#closed = true;
    clearInterval(this.#keepAlive);
    this.#record.end(status, this.#run, code);
    this.#run.leave();
  }

  /** A comment keeps proxies from giving up a connection that waits for its first token. A reader
   * that has not taken what it was given is waited for, but not for ever: it holds a node's slot.
   */
  #beat(): void {
    if (this.#closed) return;
    if (this.#wanted) return this.#give(KEEP_ALIVE);
    const { services } = this.#record;
    if (services.now() - this.#gaveAt < services.options.readerMsMax) return;
    this.#stop(499, "reader_too_slow");
    this.#sink?.destroy(); // Broken off, never ended as a good stream is.
  }
}
