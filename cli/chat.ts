/** `redraft chat`: a terminal chat that shows how the draft head helps. @module */
import { type ChatAnswer, ChatError, type ChatMessage, streamChat } from "./chat_stream.ts";
import { type Command, parseOptions, realNumber, runCommand, wholeNumber } from "./options.ts";

const encoder = new TextEncoder();

const CHAT_HELP = `/help   this list
/stats  tokens, tokens per step and tokens per second so far
/clear  forget the conversation
/exit   leave (as does the end of input)
Ctrl-C stops an answer; at the prompt it leaves.`;

function print(text: string): void {
  const bytes = encoder.encode(text);
  for (let start = 0; start < bytes.length;) {
    start += Deno.stdout.writeSync(bytes.subarray(start));
  }
}

async function* readInputLines(prompt: () => void): AsyncGenerator<string> {
  let pending = "";
  prompt();
  for await (const piece of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (pending + piece).split(/\r?\n/);
    pending = lines.pop()!;
    for (const line of lines) {
      yield line;
      prompt();
    }
  }
  if (pending) yield pending;
}

/** What was said and how fast; lives as long as the program. */
class Conversation {
  readonly messages: ChatMessage[] = [];
  readonly #answers: ChatAnswer[] = [];
  running: AbortController | null = null;

  constructor(
    readonly url: string,
    readonly body: Record<string, unknown>,
    readonly system: string | undefined,
  ) {
    this.clear();
  }

  clear(): void {
    this.messages.length = 0;
    if (this.system) this.messages.push({ role: "system", content: this.system });
  }

  async say(content: string): Promise<void> {
    this.messages.push({ role: "user", content });
    this.running = new AbortController();
    let text = "";
    try {
      const answer = await streamChat(
        this.url,
        { ...this.body, messages: this.messages },
        (piece) => {
          text += piece;
          print(piece);
        },
        this.running.signal,
      );
      this.#answers.push(answer);
      print(`\n${dim(describe([answer]))}\n`);
    } catch (error) {
      if (!this.running.signal.aborted) throw error;
      print("\n(stopped)\n");
    } finally {
      this.running = null;
    }
    this.messages.push({ role: "assistant", content: text });
  }

  stats(): string {
    return this.#answers.length ? describe(this.#answers) : "no answers yet";
  }
}

function dim(text: string): string {
  return Deno.stdout.isTerminal() && !Deno.noColor ? `\x1b[2m${text}\x1b[0m` : text;
}

function describe(answers: ChatAnswer[]): string {
  const sum = (pick: (answer: ChatAnswer) => number) =>
    answers.reduce((total, answer) => total + pick(answer), 0);
  const tokens = sum((answer) => answer.tokenCount);
  const steps = sum((answer) => answer.stepCount);
  const seconds = sum((answer) => answer.generationMs) / 1000;
  const first = sum((answer) => answer.firstTokenMs) / answers.length;
  return `${tokens} tokens, ${(tokens / Math.max(1, steps)).toFixed(2)} a step, ` +
    `${(tokens / Math.max(seconds, 1e-3)).toFixed(0)} tokens/s, first after ${first.toFixed(0)} ms`;
}

async function modelOf(url: string): Promise<string> {
  try {
    const models = await (await fetch(`${url}/v1/models`)).json();
    return models.data[0].id;
  } catch (error) {
    throw new ChatError(
      `Cannot reach a gateway at ${url}: ${(error as Error).message}. ` +
        "Is one running? npx -y deno@2.9.6 task start",
    );
  }
}

async function chat(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    url: { type: "string", default: "http://127.0.0.1:8000" },
    system: { type: "string" },
    temperature: { type: "string" },
    "max-tokens": { type: "string" },
    seed: { type: "string" },
  });
  const url = String(values.url).replace(/\/(v1\/?)?$/, "");
  const body: Record<string, unknown> = {
    model: await modelOf(url),
    temperature: realNumber(values, "temperature", { min: 0, max: 2, fallback: 0 }),
    max_tokens: wholeNumber(values, "max-tokens", { min: 1, max: 1 << 20, fallback: 512 }),
  };
  if (values.seed !== undefined) {
    body.seed = wholeNumber(values, "seed", { min: 0, max: 2 ** 32 - 1, fallback: 0 });
  }
  const conversation = new Conversation(url, body, values.system as string | undefined);
  const interactive = Deno.stdin.isTerminal();
  if (interactive) print(`${body.model} at ${url}. /help says what else there is.\n`);
  Deno.addSignalListener("SIGINT", () => {
    if (!conversation.running) Deno.exit(0);
    conversation.running.abort();
  });
  let failed = false;
  for await (const line of readInputLines(() => interactive && print("> "))) {
    const text = line.trim();
    if (text === "/exit") break;
    if (text === "") continue;
    if (text === "/help") print(`${CHAT_HELP}\n`);
    else if (text === "/stats") print(`${conversation.stats()}\n`);
    else if (text === "/clear") conversation.clear();
    else if (text.startsWith("/")) print(`Unknown command ${text}; /help lists them\n`);
    else {
      await conversation.say(text).catch((error) => {
        if (!(error instanceof ChatError)) throw error;
        failed = true;
        console.error(error.message);
      });
    }
  }
  return failed ? 1 : 0;
}

export const command: Command = {
  summary: "chat in the terminal",
  help: `Chats with a running gateway; after each answer: tokens per step and tokens per second.

  redraft chat [OPTIONS]

  --url URL         the gateway (default http://127.0.0.1:8000)
  --system TEXT     system message
  --temperature T   0 (greedy, the default) to 2
  --max-tokens N    longest answer (default 512)
  --seed N          for repeatable sampling

${CHAT_HELP}

Examples:
  redraft chat
  echo "Name three rivers." | redraft chat --max-tokens 60
`,
  run: chat,
};

if (import.meta.main) await runCommand(command, Deno.args);
