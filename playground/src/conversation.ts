/** What was said, and the answer under way: the state behind the chat. @module */
import { useRef, useState } from "preact/hooks";
import { ask, type Message, type Progress, Refusal } from "./ask.ts";
import { fieldsOf, refuseSettings, type Settings } from "./settings_fields.ts";

export interface Turn {
  role: "user" | "assistant";
  content: string;
  progress?: Progress;
  /** How the answer ended, where it did not end by itself. */
  note?: string;
  isBad?: boolean;
}

export interface Conversation {
  turns: readonly Turn[];
  busy: boolean;
  /** For screen readers, which do not follow an answer token by token. */
  said: string;
  /** Says `content` after the first `keep` turns. */
  say: (content: string, keep: number) => void;
  stop: () => void;
  clear: () => void;
}

function messagesOf(turns: readonly Turn[], settings: Settings): Message[] {
  const system = settings.system.trim();
  const first: Message[] = system === "" ? [] : [{ role: "system", content: settings.system }];
  // What stopped before its first token was never said.
  const said = turns.filter(({ content }) => content !== "");
  return [...first, ...said.map(({ role, content }) => ({ role, content }))];
}

function endOf(error: unknown, stopped: boolean): Pick<Turn, "note" | "isBad"> {
  if (stopped) return { note: "Stopped." };
  const words = error instanceof Error ? error.message : String(error);
  const status = error instanceof Refusal && error.status >= 400 ? `${error.status}: ` : "";
  return { note: status + words, isBad: true };
}

interface ConversationOptions {
  settings: Settings;
  show: (progress: Progress | undefined) => void;
  /** A key is asked for. */
  onDenied: () => void;
}

export function useConversation(options: ConversationOptions): Conversation {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [running, setRunning] = useState<AbortController | undefined>(undefined);
  const [said, setSaid] = useState("");
  const latest = useRef(options);
  latest.current = options;
  // Of an answer that a new chat has left behind, nothing is shown any more.
  const current = useRef<AbortController | undefined>(undefined);
  const say = async (content: string, keep: number) => {
    const { settings, show, onDenied } = latest.current;
    const asked: Turn[] = [...turns.slice(0, keep), { role: "user", content }];
    const turn: Turn = { role: "assistant", content: "" };
    const controller = new AbortController();
    current.current = controller;
    const put = (changes: Partial<Turn>) => {
      if (current.current !== controller) return;
      setTurns([...asked, { ...Object.assign(turn, changes) }]);
    };
    const problems = refuseSettings(settings);
    if (problems.length > 0) return put({ note: problems.join("; "), isBad: true });
    put({});
    setRunning(controller);
    setSaid("Answering.");
    try {
      const messages = messagesOf(asked, settings);
      const end = await ask({ ...fieldsOf(settings), messages }, (progress) => {
        const copy = { ...progress };
        put({ content: copy.answer.text, progress: copy });
        if (current.current === controller) show(copy);
      }, controller.signal);
      if (end.finishReason === "length") put({ note: "Ended at the most tokens allowed." });
      setSaid(`Answer: ${end.answer.text}`);
    } catch (error) {
      const end = endOf(error, controller.signal.aborted);
      put(end);
      setSaid(end.note!);
      if (error instanceof Refusal && error.status === 401) onDenied();
    }
    if (current.current === controller) setRunning(undefined);
  };
  return {
    turns,
    said,
    busy: running !== undefined,
    say,
    stop: () => running?.abort(),
    clear: () => {
      running?.abort();
      current.current = undefined;
      setRunning(undefined);
      setTurns([]);
      latest.current.show(undefined);
    },
  };
}
