/** Renders a model's own chat template and encodes the result. @module */
import { assert } from "../proto/assert.ts";
import process from "node:process";
import { Environment, Template } from "@huggingface/jinja";
import type { ChatMessage } from "./request_messages.ts";
import type { RenderOptions } from "./served_model.ts";
import { SpecialTexts, TextMask } from "./special_text.ts";
import {
  BoundedInterpreter,
  boundsFor,
  type TemplateClock,
  TemplateShape,
  TemplateTimeError,
} from "./template_bounds.ts";
import { TemplatePieces } from "./template_pieces.ts";
import { knowsTools, mapTexts, messageJson, textsOf, type Variables } from "./template_values.ts";
import { plainMessages, toolJson } from "./tool_prompt.ts";
import type { ModelTokenizer } from "./tokenizer.ts";

/** Templates in use have at most 20,000 characters. */
const TEMPLATE_CHARS_MAX = 1 << 17;
/** The library reads a stretch of white space in the square of its length. */
const BLANKS = /\s{257}/;
const RANGE_ITEMS_MAX = 1 << 12;
/** A template that took too long for a request of at most so much, which those in use can do in a
 * fraction of the time, is not tried again for a while, then for longer. */
const SLOW_INPUT_CHARS_MAX = 1 << 16;
const SLOW_INPUT_COUNT_MAX = 256;
const REST_MS_LEAST = 1000;
const REST_MS_MOST = 60_000;

const CLOCK: TemplateClock = {
  now: () => performance.now(),
  cpuMs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

/** `missing`, `invalid`: the model has no usable template. `refused`: these messages cannot be had
 * with it, most often because it says so itself (`raise_exception`). `failed`: it cannot be
 * evaluated with them, or only within more time or memory than a prompt gets. */
export type ChatTemplateErrorCode = "missing" | "invalid" | "refused" | "failed";

export class ChatTemplateError extends Error {
  override readonly name = "ChatTemplateError";

  constructor(message: string, readonly code: ChatTemplateErrorCode, options?: ErrorOptions) {
    super(message, options);
  }
}

/** A model's template, parsed once. */
export class ChatTemplate {
  readonly #tokenizer: ModelTokenizer;
  readonly #source: string;
  readonly #template: Template;
  readonly #shape: TemplateShape;
  readonly #pieces: TemplatePieces;
  readonly #clock: TemplateClock;
  readonly #specials: SpecialTexts;
  /** Asked of the template with the first tools. */
  #knowsTools: boolean | undefined;
  #slowCount = 0;
  #restsUntil = 0;

  /** @throws {ChatTemplateError} `missing` or `invalid`. */
  constructor(tokenizer: ModelTokenizer, clock: TemplateClock = CLOCK) {
    const source = tokenizer.chatTemplate;
    if (source === undefined) {
      throw new ChatTemplateError("Cannot chat: the model has no chat template", "missing");
    }
    this.#tokenizer = tokenizer;
    this.#source = source;
    this.#clock = clock;
    this.#template = parse(source);
    this.#shape = new TemplateShape(this.#template.parsed);
    this.#pieces = new TemplatePieces(this.#template.parsed, source);
    this.#specials = new SpecialTexts(tokenizer.idsBySpecialText.keys());
  }

  /** The prompt as text, special tokens spelled out. For show: encode messages, not this.
   * @throws {ChatTemplateError} `refused` or `failed`. */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    return this.#run(this.#variables(messages, options), options);
  }

  /** What the template is given: tools as such where it knows them, else in the messages. */
  #variables(messages: readonly ChatMessage[], options: RenderOptions): Variables {
    const { tools = [] } = options;
    const isPlain = tools.length === 0 && messages.every((m) => !m.toolCalls && m.role !== "tool");
    if (isPlain) return { messages: messages.map(messageJson) };
    this.#knowsTools ??= knowsTools(this.#source, (probe) => this.#run(probe, {}));
    if (!this.#knowsTools) return { messages: plainMessages(messages, tools) };
    const own = messages.map(messageJson);
    return tools.length === 0 ? { messages: own } : { messages: own, tools: tools.map(toolJson) };
  }

  #run(variables: Variables, options: RenderOptions): string {
    const { messages, tools } = variables;
    if (tools !== undefined) return this.#evaluate(variables, options);
    const scope = String(options.addGenerationPrompt ?? true);
    return this.#pieces.render(
      messages,
      scope,
      (some) => this.#evaluate({ messages: some }, options),
    );
  }

  #evaluate(variables: Variables, options: RenderOptions): string {
    if (this.#clock.now() < this.#restsUntil) throw tooSlow();
    const environment = newEnvironment({
      ...variables,
      add_generation_prompt: options.addGenerationPrompt ?? true,
      ...this.#tokenizer.templateTokens,
    });
    const texts = textsOf(variables);
    const inputChars = texts.reduce((sum, text) => sum + text.length, 0);
    try {
      const bounds = boundsFor(texts.length, inputChars);
      const interpreter = new BoundedInterpreter(environment, this.#shape, bounds, this.#clock);
      const value = interpreter.run(this.#template.parsed);
      this.#slowCount = 0;
      return String(value.value);
    } catch (error) {
      if (error instanceof ChatTemplateError) throw error;
      const isSmall = texts.length <= SLOW_INPUT_COUNT_MAX && inputChars <= SLOW_INPUT_CHARS_MAX;
      if (error instanceof TemplateTimeError && isSmall) this.#rest();
      const reason = error instanceof Error ? error.message : String(error);
      const message = `Cannot apply the chat template: ${reason}`;
      throw new ChatTemplateError(message, "failed", { cause: error });
    }
  }

  #rest(): void {
    const restMs = Math.min(REST_MS_LEAST * 2 ** this.#slowCount++, REST_MS_MOST);
    this.#restsUntil = this.#clock.now() + restMs;
  }

  /** The prompt's token ids. Special tokens come from the template alone: a message that spells one
   * gets its plain characters.
   * @throws {ChatTemplateError} `refused` or `failed`.
   * @throws {PromptTooLongError} */
  renderAndEncode(messages: readonly ChatMessage[], options: RenderOptions = {}): Uint32Array {
    const tokenizer = this.#tokenizer;
    const variables = this.#variables(messages, options);
    const mask = new TextMask(this.#specials, [this.#source, ...textsOf(variables)]);
    const hidden = mapTexts(variables, (text) => hide(mask, text));
    const prompt = this.#run(hidden, options);
    const { tokensMax } = options;
    if (!mask.used) {
      const ids = tokenizer.encodeBounded(prompt, { parseSpecial: true }, tokensMax);
      return tokenizer.withBos(ids);
    }
    const parts = this.#specials.segments(prompt).map((segment) => {
      if (segment.kind === "special") {
        return Uint32Array.of(tokenizer.idsBySpecialText.get(segment.text)!);
      }
      const text = mask.restore(segment.text);
      return tokenizer.encodeBounded(text, { parseSpecial: false }, tokensMax);
    });
    return tokenizer.withBos(concat(parts));
  }
}

function tooSlow(): ChatTemplateError {
  const message =
    "Cannot apply the chat template: it takes too long, so it is not tried for a while";
  return new ChatTemplateError(message, "failed");
}

function hide(mask: TextMask, text: string): string {
  try {
    return mask.hide(text);
  } catch (error) {
    assert(error instanceof RangeError, String(error));
    throw new ChatTemplateError(error.message, "refused", { cause: error });
  }
}

function parse(source: string): Template {
  if (source.length > TEMPLATE_CHARS_MAX) {
    const message = `Cannot read the chat template: it has ${source.length} characters`;
    throw new ChatTemplateError(message, "invalid");
  }
  if (BLANKS.test(source)) {
    const message = "Cannot read the chat template: it has over 256 blanks in a row";
    throw new ChatTemplateError(message, "invalid");
  }
  try {
    return new Template(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `Cannot read the chat template: ${reason}`;
    throw new ChatTemplateError(message, "invalid", { cause: error });
  }
}

/** What templates may call and read. As `setupGlobals()` of the library, which is not exported,
 * but with a bounded `range`. */
function newEnvironment(variables: Record<string, unknown>): Environment {
  const environment = new Environment();
  const constants = { true: true, True: true, false: false, False: false, none: null, None: null };
  for (const [name, value] of Object.entries(constants)) environment.set(name, value);
  environment.set("raise_exception", (reason: unknown) => {
    throw new ChatTemplateError(`The chat template refuses the messages: ${reason}`, "refused");
  });
  environment.set("range", boundedRange);
  environment.set("strftime_now", strftimeNow);
  for (const [name, value] of Object.entries(variables)) environment.set(name, value);
  return environment;
}

function boundedRange(start: number, stop?: number, step = 1): number[] {
  const [first, last] = stop === undefined ? [0, start] : [start, stop];
  if (step === 0) throw new RangeError("range() step must not be zero");
  const count = Math.max(0, Math.ceil((last - first) / step));
  if (!(count <= RANGE_ITEMS_MAX)) throw new RangeError(`range() of ${count} items`);
  return Array.from({ length: count }, (_, i) => first + i * step);
}

const MONTHS =
  "January February March April May June July August September October November December"
    .split(" ");

/** Templates ask for today's date in these forms alone; the prompt changes once a day. */
function strftimeNow(format: string): string {
  const now = new Date();
  const pad = (value: number) => String(value).padStart(2, "0");
  const fields: Record<string, string> = {
    "%d": pad(now.getDate()),
    "%m": pad(now.getMonth() + 1),
    "%Y": String(now.getFullYear()),
    "%b": MONTHS[now.getMonth()]!.slice(0, 3),
    "%B": MONTHS[now.getMonth()]!,
    "%H": pad(now.getHours()),
    "%M": pad(now.getMinutes()),
    "%S": pad(now.getSeconds()),
    "%%": "%",
  };
  return format.replace(/%./g, (field) => {
    const text = fields[field];
    if (text === undefined) throw new RangeError(`strftime_now() does not know '${field}'`);
    return text;
  });
}

function concat(parts: readonly Uint32Array[]): Uint32Array {
  const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let start = 0;
  for (const part of parts) {
    ids.set(part, start);
    start += part.length;
  }
  return ids;
}
