/** `redraft chat`: a terminal chat that shows how the draft head helps. @module */
import { Conversation } from "./chat_conversation.ts";
import { type Lines, readMessage, readPipe, readTerminal } from "./chat_input.ts";
import { ChatError, getJson, type Target } from "./chat_stream.ts";
import {
  readTarget,
  TARGET_ENV_HELP,
  TARGET_OPTIONS,
  TARGET_OPTIONS_HELP,
} from "./gateway_target.ts";
import { type Command, parseOptions, realNumber, runCommand, wholeNumber } from "./options.ts";
import { hasColours, print, styled } from "./terminal.ts";

const CHAT_HELP = `/help   this list
/stats  tokens, tokens per step and tokens per second so far
/clear  forget the conversation
/exit   leave (as does the end of input)
A line that ends in \\ goes on in the next; """ begins and ends a message of several lines.
Ctrl-C stops an answer; at the prompt it leaves. Arrow keys go through what was said.`;

const COMMANDS = ["/help", "/stats", "/clear", "/exit"] as const;

async function modelOf(target: Target): Promise<string> {
  const models = await getJson<{ data: { id: string }[] }>(target, "/v1/models");
  if (!models.data[0]) throw new ChatError(`The gateway at ${target.url} has no node yet`);
  return models.data[0].id;
}

function legend(): string {
  if (!hasColours()) return "";
  return `\n${styled("draft", "Green: drafted and accepted")}; else drawn by the target model`;
}

/** @returns Whether the chat goes on. */
function runChatCommand(conversation: Conversation, text: string): boolean {
  if (text === "/help") print(`${CHAT_HELP}${legend()}\n`);
  else if (text === "/stats") print(`${conversation.stats()}\n`);
  else if (text === "/clear") conversation.clear();
  else if (text !== "/exit") print(`Unknown command ${text}; /help lists them\n`);
  return text !== "/exit";
}

/** @returns Whether something failed. */
async function converse(conversation: Conversation, lines: Lines): Promise<boolean> {
  let failed = false;
  for (;;) {
    const text = await readMessage(lines);
    if (text === undefined) return failed;
    if (text === "") continue;
    if (text.startsWith("/")) {
      if (runChatCommand(conversation, text)) continue;
      return failed;
    }
    await conversation.say(text).catch((error) => {
      if (!(error instanceof ChatError) && !(error instanceof TypeError)) throw error;
      failed = true;
      console.error(error.message);
    });
  }
}

async function chat(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    ...TARGET_OPTIONS,
    system: { type: "string" },
    temperature: { type: "string" },
    "max-tokens": { type: "string" },
    seed: { type: "string" },
  });
  const target = readTarget(values);
  const sampling = {
    temperature: realNumber(values, "temperature", { min: 0, max: 2, fallback: 0 }),
    max_tokens: wholeNumber(values, "max-tokens", { min: 1, max: 1 << 20, fallback: 512 }),
  };
  const body: Record<string, unknown> = { model: await modelOf(target), ...sampling };
  if (values.seed !== undefined) {
    body.seed = wholeNumber(values, "seed", { min: 0, max: 2 ** 32 - 1, fallback: 0 });
  }
  const conversation = new Conversation(target, body, values.system as string | undefined);
  // Messages from a pipe have no prompts between their answers, whoever reads those.
  const isTyped = Deno.stdin.isTerminal();
  if (isTyped) print(`${body.model} at ${target.url}. /help says what else there is.${legend()}\n`);
  const lines = isTyped ? readTerminal(COMMANDS) : readPipe();
  Deno.addSignalListener("SIGINT", () => {
    if (!conversation.stop()) Deno.exit(0);
  });
  const failed = await converse(conversation, lines);
  lines.close();
  return failed ? 1 : 0;
}

export const command: Command = {
  summary: "chat in the terminal",
  help: `Chats with a running gateway; after each answer: tokens per step and tokens per second.
On a terminal, what was drafted and accepted is green.

  redraft chat [OPTIONS]

${TARGET_OPTIONS_HELP}
  --system TEXT     system message
  --temperature T   0 (greedy, the default) to 2
  --max-tokens N    longest answer (default 512)
  --seed N          for repeatable sampling

${CHAT_HELP}

${TARGET_ENV_HELP} NO_COLOR turns colours off.

Examples:
  redraft chat
  echo "Name three rivers." | redraft chat --max-tokens 60
`,
  run: chat,
};

if (import.meta.main) await runCommand(command, Deno.args);
