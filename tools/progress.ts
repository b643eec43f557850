/** Progress of long work on standard error: one moving line in a terminal, few whole lines in a
 * log. @module */

/** A log should show that work goes on, not drown in it. */
const LOG_INTERVAL_MS = 2000;
const TERMINAL_INTERVAL_MS = 80;

const encoder = new TextEncoder();

export class Progress {
  readonly #terminal = Deno.stderr.isTerminal();
  readonly #startedAt = performance.now();
  #shownAt = -Infinity;
  #moving = false;

  constructor(readonly label: string) {}

  /** Shows `state` unless something was shown a moment ago. */
  update(state: string): void {
    const now = performance.now();
    if (now - this.#shownAt < (this.#terminal ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS)) return;
    this.#shownAt = now;
    this.#moving = this.#terminal;
    this.#write(this.#terminal ? `\r\x1b[K${this.label}: ${state}` : `${this.label}: ${state}\n`);
  }

  /** A line that stays. */
  note(line: string): void {
    this.#write(`${this.#moving ? "\r\x1b[K" : ""}${line}\n`);
    this.#moving = false;
  }

  /** The last line, with the time it all took. */
  done(state: string): void {
    this.note(
      `${this.label}: ${state} (${((performance.now() - this.#startedAt) / 1000).toFixed(1)} s)`,
    );
  }

  #write(text: string): void {
    const bytes = encoder.encode(text);
    for (let start = 0; start < bytes.length;) {
      start += Deno.stderr.writeSync(bytes.subarray(start));
    }
  }
}

/** `12.3 MiB` */
export function formatBytes(byteCount: number): string {
  return byteCount < 2 ** 20
    ? `${(byteCount / 1024).toFixed(1)} KiB`
    : `${(byteCount / 2 ** 20).toFixed(1)} MiB`;
}
