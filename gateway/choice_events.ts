/** What a WebSocket is told of one choice: its text and the calls of tools in it, as they come.
 * @module */
import { obfuscationJson, traceJson } from "./answer_shape.ts";
import { finishReason, logprobsJson, scannersOf } from "./chat_shape.ts";
import type { Piece } from "./generation.ts";
import type { Run } from "./run.ts";
import type { AnswerEvent, ToolCall, ToolCallScanner } from "./tool_call_scanner.ts";

/** An event without what all of a response's events have in common. */
export interface ChoiceEvent {
  type: string;
  /** The fields as JSON, without the brackets. */
  fields: string;
}

/** One for each choice of a run. */
export function choiceEvents(run: Run): ChoiceEvents[] {
  const scanners = scannersOf(run);
  return run.choices.map(({ index }) => new ChoiceEvents(run, index, scanners?.[index]));
}

export class ChoiceEvents {
  readonly #run: Run;
  readonly #place: string;
  readonly #scanner: ToolCallScanner | undefined;
  /** The call whose arguments are coming. */
  #open: ToolCall | undefined;

  constructor(run: Run, index: number, scanner: ToolCallScanner | undefined) {
    this.#run = run;
    this.#place = `"output_index":${index}`;
    this.#scanner = scanner;
  }

  push(piece: Piece): ChoiceEvent[] {
    const isBare = piece.entries.length === 0 && piece.steps.length === 0;
    if (this.#scanner === undefined) {
      return piece.text === "" && isBare ? [] : [this.#text(piece.text, piece)];
    }
    let rest: Piece | undefined = isBare ? undefined : piece;
    const events: ChoiceEvent[] = [];
    for (const event of this.#scanner.push(piece.text)) {
      // What belongs to the piece goes with its text, else before what is not text.
      if (event.kind !== "text" && rest !== undefined) events.push(this.#text("", rest));
      this.#add(events, event, rest);
      rest = undefined;
    }
    if (rest !== undefined) events.push(this.#text("", rest));
    return events;
  }

  finish(reason: "stop" | "length"): ChoiceEvent[] {
    const events: ChoiceEvent[] = [];
    for (const event of this.#scanner?.flush(reason === "length") ?? []) this.#add(events, event);
    this.#close(events);
    const isCalled = (this.#scanner?.calls.length ?? 0) > 0;
    const fields = `${this.#place},"finish_reason":"${finishReason(reason, isCalled)}"`;
    events.push({ type: "response.output_text.done", fields });
    return events;
  }

  #add(events: ChoiceEvent[], event: AnswerEvent, piece?: Piece): void {
    if (event.kind !== "arguments") this.#close(events);
    switch (event.kind) {
      case "text":
        events.push(this.#text(event.text, piece));
        return;
      case "call": {
        const { id, name } = this.#open = this.#scanner!.calls[event.index]!;
        const item = { type: "function_call", call_id: id, name, arguments: "" };
        const fields = `${this.#callPlace()},"item":${JSON.stringify(item)}`;
        events.push({ type: "response.output_item.added", fields });
        return;
      }
      case "arguments": {
        const padding = obfuscationJson(this.#run, event.text.length);
        const fields = `${this.#callPlace()},"delta":${JSON.stringify(event.text)}${padding}`;
        events.push({ type: "response.function_call_arguments.delta", fields });
      }
    }
  }

  #text(text: string, piece?: Piece): ChoiceEvent {
    const run = this.#run;
    let fields = `${this.#place},"delta":${JSON.stringify(text)}`;
    if (piece !== undefined) {
      if (piece.entries.length > 0) {
        fields += `,"logprobs":${logprobsJson(run.model, piece.entries)}`;
      }
      fields += traceJson(run.model, [piece]);
    }
    fields += obfuscationJson(run, text.length);
    return { type: "response.output_text.delta", fields };
  }

  #close(events: ChoiceEvent[]): void {
    if (this.#open === undefined) return;
    const { name, arguments: text } = this.#open;
    const whole = `"name":${JSON.stringify(name)},"arguments":${JSON.stringify(text)}`;
    const fields = `${this.#callPlace()},${whole}`;
    events.push({ type: "response.function_call_arguments.done", fields });
    this.#open = undefined;
  }

  #callPlace(): string {
    const { id } = this.#open!;
    const index = this.#scanner!.calls.indexOf(this.#open!);
    return `${this.#place},"call_index":${index},"call_id":"${id}"`;
  }
}
