/** The output items of a Responses answer, built as its text comes: messages, and the calls of
 * functions between them. @module */
import { eventText, newId, obfuscationJson, traceJson } from "./answer_shape.ts";
import type { LogprobEntry } from "./answer_text.ts";
import { logprobsOf, scannerOf } from "./chat_shape.ts";
import type { Piece } from "./generation.ts";
import type { Run } from "./run.ts";
import type { AnswerEvent, ToolCallScanner } from "./tool_call_scanner.ts";

interface MessageItem {
  id: string;
  type: "message";
  text: string;
  entries: LogprobEntry[];
}

interface CallItem {
  id: string;
  type: "function_call";
  callId: string;
  name: string;
  arguments: string;
}

type Item = MessageItem | CallItem;

/** Writes one numbered event. */
export type Send = (type: string, fields: Record<string, unknown>) => string;

/** Everything that is pushed comes back as the events that tell of it. */
export class ResponseItems {
  readonly #items: Item[] = [];
  readonly #run: Run;
  readonly #send: Send;
  readonly #scanner: ToolCallScanner | undefined;
  #open: Item | undefined;

  constructor(run: Run, send: Send) {
    this.#run = run;
    this.#send = send;
    const { tools } = run.request;
    if (tools !== undefined) this.#scanner = scannerOf(tools);
  }

  /** Where no call can come before, the message stands from the start. */
  begin(): string {
    return this.#scanner === undefined ? this.#openMessage() : "";
  }

  push(piece: Piece): string {
    if (this.#scanner === undefined) return this.#text(piece.text, piece);
    let text = "";
    let rest: Piece | undefined = piece;
    for (const event of this.#scanner.push(piece.text)) {
      text += this.#event(event, rest);
      rest = undefined;
    }
    return text;
  }

  /** @returns Also the end of whatever is open. An answer has at least one item. */
  finish(): string {
    let text = "";
    const isCut = this.#status() === "incomplete";
    for (const event of this.#scanner?.flush(isCut) ?? []) text += this.#event(event);
    if (this.#items.length === 0) text += this.#openMessage();
    return text + this.#close();
  }

  /** As the answer has them at its end. */
  output(status: string): unknown[] {
    return this.#items.map((item) => this.#itemJson(item, status));
  }

  #event(event: AnswerEvent, piece?: Piece): string {
    switch (event.kind) {
      case "text":
        return this.#text(event.text, piece);
      case "call":
        return this.#openCall(event.id, event.name);
      case "arguments":
        return this.#arguments(event.text);
    }
  }

  #openMessage(): string {
    const closed = this.#close();
    this.#open = { id: newId("msg_"), type: "message", text: "", entries: [] };
    this.#items.push(this.#open);
    const added = this.#added({ status: "in_progress", role: "assistant", content: [] });
    const part = outputText("", []);
    return closed + added + this.#send("response.content_part.added", { ...this.#part(), part });
  }

  /** Built from parts, as it comes once a step. */
  #text(text: string, piece?: Piece): string {
    const opened = this.#open?.type === "message" ? "" : this.#openMessage();
    const message = this.#open as MessageItem;
    message.text += text;
    const entries = piece?.entries ?? [];
    if (entries.length > 0) message.entries.push(...entries);
    const run = this.#run;
    const fields = {
      ...this.#part(),
      delta: text,
      logprobs: logprobsOf(run.model, entries),
    };
    const more = (piece === undefined ? "" : traceJson(run.model, [piece])) +
      obfuscationJson(run, text.length);
    const event = this.#send("response.output_text.delta", fields);
    return opened + (more === "" ? event : `${event.slice(0, -"}\n\n".length)}${more}}\n\n`);
  }

  #openCall(callId: string, name: string): string {
    const closed = this.#close();
    this.#open = { id: newId("fc_"), type: "function_call", callId, name, arguments: "" };
    this.#items.push(this.#open);
    return closed + this.#added({ status: "in_progress", call_id: callId, name, arguments: "" });
  }

  #arguments(text: string): string {
    (this.#open as CallItem).arguments += text;
    return this.#send("response.function_call_arguments.delta", { ...this.#place(), delta: text });
  }

  #close(): string {
    const item = this.#open;
    if (item === undefined) return "";
    const json = this.#itemJson(item, this.#status());
    let text = "";
    if (item.type === "message") {
      const part = this.#partJson(item);
      const { text: whole, logprobs } = part;
      text += this.#send("response.output_text.done", { ...this.#part(), text: whole, logprobs });
      text += this.#send("response.content_part.done", { ...this.#part(), part });
    } else {
      const { name, arguments: whole } = item;
      const fields = { ...this.#place(), name, arguments: whole };
      text += this.#send("response.function_call_arguments.done", fields);
    }
    const { output_index } = this.#place();
    this.#open = undefined;
    return text + this.#send("response.output_item.done", { output_index, item: json });
  }

  #status(): string {
    const { outcome } = this.#run.choices[0]!.reader.generation;
    return outcome?.kind === "finish" && outcome.reason === "length" ? "incomplete" : "completed";
  }

  #added(fields: Record<string, unknown>): string {
    const { output_index, item_id: id } = this.#place();
    const item = { id, type: this.#open!.type, ...fields };
    return this.#send("response.output_item.added", { output_index, item });
  }

  #place() {
    return { item_id: this.#open!.id, output_index: this.#items.length - 1 };
  }

  #part() {
    return { ...this.#place(), content_index: 0 };
  }

  #partJson({ text, entries }: MessageItem) {
    return outputText(text, logprobsOf(this.#run.model, entries));
  }

  #itemJson(item: Item, status: string): Record<string, unknown> {
    const { id, type } = item;
    if (type === "message") {
      return { id, type, status, role: "assistant", content: [this.#partJson(item)] };
    }
    const { callId: call_id, name, arguments: text } = item;
    return { id, type, status, call_id, name, arguments: text };
  }
}

interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: unknown[];
}

function outputText(text: string, logprobs: unknown[]): OutputText {
  return { type: "output_text", text, annotations: [], logprobs };
}

/** Numbers the events, so that a client sees when one is missing. */
export function numberedEvents(): Send {
  let sequence = 0;
  return (type, fields) =>
    eventText(JSON.stringify({ type, sequence_number: sequence++, ...fields }), type);
}
