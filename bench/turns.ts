/** Turns of two engines on one machine, step by step: what disturbs the machine for longer than a
 * step disturbs both alike.
 * @module */

interface Waiting {
  side: Side;
  begin: () => void;
}

/** One side of a comparison. Its clock stands still while the other has its turn. */
export class Side {
  /** Milliseconds of turns that ended. */
  #held = 0;
  #since: number | undefined;
  readonly #turns: Turns;

  /** @param progress How far it came with the work that both sides have. */
  constructor(turns: Turns, readonly progress: () => number) {
    this.#turns = turns;
  }

  /** Milliseconds of its turns so far. */
  now = (): number =>
    this.#held + (this.#since === undefined ? 0 : performance.now() - this.#since);

  /** Waits for its turn.
   * @returns What ends it. */
  take = async (): Promise<() => void> => {
    await this.#turns.wait(this);
    this.#since = performance.now();
    return () => {
      this.#held = this.now();
      this.#since = undefined;
      this.#turns.end();
    };
  };
}

/** The turn goes to whoever came less far of those that want it, so that both sides do like work
 * at about the same time. */
export class Turns {
  #waiting: Waiting[] = [];
  #taken = false;

  wait(side: Side): Promise<void> {
    return new Promise((begin) => {
      this.#waiting.push({ side, begin });
      this.#decide();
    });
  }

  end(): void {
    this.#taken = false;
    this.#decide();
  }

  /** Later, so that the side whose turn has just ended can ask again. */
  #decide(): void {
    setTimeout(() => {
      if (this.#taken || this.#waiting.length === 0) return;
      this.#waiting.sort((a, b) => a.side.progress() - b.side.progress());
      this.#taken = true;
      this.#waiting.shift()!.begin();
    });
  }
}
