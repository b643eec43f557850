/** Bounds on how long many short waits may take. One timer serves all: one each would cost more
 * than most of the waits. @module */

const CHECK_MS = 1000;

interface Wait {
  until: number;
  giveUp: () => void;
}

export class Deadlines {
  readonly #waits = new Set<Wait>();
  readonly #now: () => number;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** What `work` comes to, or `late()`'s error once it has taken `ms`, give or take a second. */
  bound<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const wait: Wait = { until: this.#now() + ms, giveUp: () => reject(late()) };
      this.#waits.add(wait);
      this.#timer ??= setInterval(() => this.#check(), CHECK_MS);
      work.then((value) => {
        this.#waits.delete(wait);
        resolve(value);
      }, (error) => {
        this.#waits.delete(wait);
        reject(error);
      });
    });
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    if (this.#waits.size === 0) return this.close();
    const now = this.#now();
    for (const wait of this.#waits) {
      if (wait.until > now) continue;
      this.#waits.delete(wait);
      wait.giveUp();
    }
  }
}
