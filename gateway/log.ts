/** Structured log: one JSON object a line on standard error. Never a key, and text of requests only
 * where that was asked for. @module */

export type LogLevel = "debug" | "info" | "warn" | "error" | "off";
export const LOG_LEVELS = ["debug", "info", "warn", "error", "off"] as const;

/** Lines that may wait for one write; past them, lines are dropped and counted. */
const LINES_MAX = 4096;
/** A write a line would cost more than many a request. */
const FLUSH_MS = 50;

export interface Log {
  write(level: LogLevel, event: string, fields?: Record<string, unknown>): void;
}

export class StderrLog implements Log {
  readonly #least: number;
  #lines: string[] = [];
  #droppedCount = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(least: LogLevel) {
    this.#least = LOG_LEVELS.indexOf(least);
  }

  write(level: LogLevel, event: string, fields: Record<string, unknown> = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#least || this.#least === LOG_LEVELS.length - 1) return;
    if (this.#lines.length >= LINES_MAX) {
      ++this.#droppedCount;
      return;
    }
    this.#lines.push(JSON.stringify({ time: new Date().toISOString(), level, event, ...fields }));
    this.#timer ??= setTimeout(() => this.flush(), FLUSH_MS);
  }

  /** Writes what waits; called at the end too. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#droppedCount > 0) {
      this.#lines.push(
        JSON.stringify({ level: "warn", event: "log.dropped", lines: this.#droppedCount }),
      );
      this.#droppedCount = 0;
    }
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("\n");
    this.#lines = [];
    console.error(text);
  }
}

export const SILENT_LOG: Log = { write() {} };

/** What an error says of itself: its name and message, not its stack, which may quote input. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
