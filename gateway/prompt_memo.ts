/** Tokens of short chats asked again and again: rendering a template costs more than all else that
 * a held answer needs. Pure. @module */
import type { ChatMessage } from "./request_messages.ts";

const ENTRIES_MAX = 1024;
/** Of the messages. With so few, what an entry holds is a few kilobytes. */
const CHARS_MAX = 2048;

export class PromptMemo {
  /** Insertion order is use: the first is the least recently used. */
  readonly #entries = new Map<string, Uint32Array>();

  get size(): number {
    return this.#entries.size;
  }

  /** @param scope Tenant and model: a tenant must not see by the clock what another one asked.
   * @returns Tokens that nobody may change. */
  tokens(
    scope: string,
    messages: readonly ChatMessage[],
    render: () => Uint32Array,
  ): Uint32Array {
    let charCount = 0;
    for (const { content } of messages) charCount += content.length;
    if (charCount > CHARS_MAX || messages.length > 16) return render();
    // Lengths first, so that no two chats have one key.
    let key = scope;
    for (const { role, content } of messages) key += `\n${role} ${content.length} ${content}`;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    const tokens = render();
    this.#entries.set(key, tokens);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= ENTRIES_MAX) break;
      this.#entries.delete(oldest);
    }
    return tokens;
  }
}
