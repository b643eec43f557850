/** Finds the calls of tools in an answer that comes in pieces. Pure. @module */
import { randomBytes } from "node:crypto";
import { CALL_CLOSE, CALL_OPEN } from "../proto/answer_grammar.ts";

/** Of a call that does not begin with its name: past it, it is none. */
const CALL_CHARS_MAX = 8192;
/** White space that is held back, as it may stand before a call. */
const BLANK_CHARS_MAX = 64;
/** So much of a marker that nothing else begins with it. */
const OPEN_SURE = "<tool_";
/** What may yet become a call: white space, then an object. */
const BEGINNING = /^\s*(?:\{|$)/;
const HEAD = /^\s*\{\s*"name"\s*:\s*"([^"\\]{1,64})"\s*,\s*"arguments"\s*:\s*(?=\{)/;

export type AnswerEvent =
  | { kind: "text"; text: string }
  | { kind: "call"; index: number; id: string; name: string }
  | { kind: "arguments"; index: number; text: string };

export interface ToolCall {
  id: string;
  name: string;
  /** JSON, unless the answer was cut short. */
  arguments: string;
}

export interface ScannerOptions {
  /** The answer is held to calls: it has no text. */
  isForced?: boolean;
  newId?: () => string;
}

/** What looks like a call but is none, or of a tool that was not offered, stays text. */
export class ToolCallScanner {
  readonly calls: ToolCall[] = [];
  readonly #names: ReadonlySet<string>;
  readonly #isForced: boolean;
  readonly #newId: () => string;
  #state: "text" | "head" | "arguments" | "tail" = "text";
  #held = "";
  #depth = 0;
  #inString = false;
  #escaped = false;

  constructor(names: Iterable<string>, options: ScannerOptions = {}) {
    this.#names = new Set(names);
    this.#isForced = options.isForced ?? false;
    this.#newId = options.newId ?? newCallId;
  }

  push(text: string): AnswerEvent[] {
    this.#held += text;
    const events: AnswerEvent[] = [];
    while (this.#advance(events));
    return events;
  }

  /** What was held back, at the answer's end. Of a call that was cut before its name nothing is
   * told: its markup is no text of the answer.
   * @param isCut The answer ends where its tokens did, not where the model ended it. */
  flush(isCut: boolean): AnswerEvent[] {
    const text = (this.#state === "head" ? CALL_OPEN : "") + this.#held;
    const isText = this.#state === "text" || this.#state === "head";
    const isMarkup = this.#isForced || (isCut && this.#isBeginning());
    this.#held = "";
    if (!isText || isMarkup || text === "") return [];
    return this.calls.length > 0 && text.trim() === "" ? [] : [{ kind: "text", text }];
  }

  /** Whether what is held is of a call. A lone "<" may be of anything. */
  #isBeginning(): boolean {
    if (this.#state === "head") return BEGINNING.test(this.#held);
    const mark = this.#held.trimStart();
    return mark !== "" && (this.calls.length > 0 || mark.startsWith(OPEN_SURE));
  }

  /** @returns Whether there may be more to find. */
  #advance(events: AnswerEvent[]): boolean {
    switch (this.#state) {
      case "text":
        return this.#text(events);
      case "head":
        return this.#head(events);
      case "arguments":
        return this.#arguments(events);
      case "tail":
        return this.#tail();
    }
  }

  #text(events: AnswerEvent[]): boolean {
    const at = this.#held.indexOf(CALL_OPEN);
    const end = at >= 0 ? blankStart(this.#held, at) : this.#safeEnd();
    if (end > 0) events.push({ kind: "text", text: this.#held.slice(0, end) });
    if (at < 0) {
      this.#held = this.#held.slice(end);
      return false;
    }
    this.#held = this.#held.slice(at + CALL_OPEN.length);
    this.#state = "head";
    return true;
  }

  /** Up to where no call can begin: before what may be the start of one, and the blank before. */
  #safeEnd(): number {
    const { length } = this.#held;
    let end = length;
    for (let count = Math.min(length, CALL_OPEN.length - 1); count > 0; --count) {
      if (!CALL_OPEN.startsWith(this.#held.slice(length - count))) continue;
      end = length - count;
      break;
    }
    return blankStart(this.#held, end);
  }

  #head(events: AnswerEvent[]): boolean {
    const head = HEAD.exec(this.#held);
    if (head !== null && this.#names.has(head[1]!)) {
      this.#begin(head[1]!, events);
      this.#held = this.#held.slice(head[0].length);
      this.#state = "arguments";
      return true;
    }
    const close = this.#held.indexOf(CALL_CLOSE);
    if (close < 0 && this.#held.length < CALL_CHARS_MAX) return false;
    const body = close < 0 ? this.#held : this.#held.slice(0, close);
    const end = close < 0 ? body.length : close + CALL_CLOSE.length;
    const call = close < 0 ? undefined : parseCall(body);
    if (call !== undefined && this.#names.has(call.name)) {
      this.#begin(call.name, events);
      this.#append(call.arguments, events);
    } else events.push({ kind: "text", text: CALL_OPEN + this.#held.slice(0, end) });
    this.#held = this.#held.slice(end);
    this.#state = "text";
    return true;
  }

  #begin(name: string, events: AnswerEvent[]): void {
    const id = this.#newId();
    events.push({ kind: "call", index: this.calls.length, id, name });
    this.calls.push({ id, name, arguments: "" });
    this.#depth = 0;
  }

  #append(text: string, events: AnswerEvent[]): void {
    if (text === "") return;
    this.calls.at(-1)!.arguments += text;
    events.push({ kind: "arguments", index: this.calls.length - 1, text });
  }

  /** Up to the bracket that closes the arguments. */
  #arguments(events: AnswerEvent[]): boolean {
    const held = this.#held;
    let at = 0;
    let isOver = false;
    while (at < held.length && !isOver) {
      const char = held[at++]!;
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString) {
        if (char === "\\") this.#escaped = true;
        else if (char === '"') this.#inString = false;
      } else if (char === '"') this.#inString = true;
      else if (char === "{" || char === "[") this.#depth++;
      else if (char === "}" || char === "]") isOver = --this.#depth === 0;
    }
    this.#append(held.slice(0, at), events);
    this.#held = held.slice(at);
    if (isOver) this.#state = "tail";
    return isOver;
  }

  #tail(): boolean {
    const close = this.#held.indexOf(CALL_CLOSE);
    // A model that does not close its calls has gone on with text.
    if (close < 0 && this.#held.length < BLANK_CHARS_MAX) return false;
    if (close >= 0) this.#held = this.#held.slice(close + CALL_CLOSE.length);
    this.#state = "text";
    return true;
  }
}

/** All events of a whole answer are its calls and its text. */
export function scanAnswer(
  text: string,
  scanner: ToolCallScanner,
  isCut: boolean,
): { text: string; calls: ToolCall[] } {
  const events = [...scanner.push(text), ...scanner.flush(isCut)];
  const texts = events.map((event) => event.kind === "text" ? event.text : "");
  return { text: texts.join(""), calls: scanner.calls };
}

export function newCallId(): string {
  return `call_${randomBytes(12).toString("hex")}`;
}

/** Where the white space that ends at `end` begins, or at most a bound before. */
function blankStart(text: string, end: number): number {
  let start = end;
  while (start > 0 && end - start < BLANK_CHARS_MAX && /\s/.test(text[start - 1]!)) --start;
  return start;
}

/** A call whose fields stand in another order. */
function parseCall(body: string): { name: string; arguments: string } | undefined {
  try {
    const { name, arguments: values } = JSON.parse(body);
    if (typeof name !== "string" || typeof values !== "object" || values === null) return undefined;
    return { name, arguments: JSON.stringify(values) };
  } catch {
    return undefined;
  }
}
