/** Status frames: at least one a second, at most ten, to every gateway that has said Hello.
 * @module */

import type { NodeTotals, StatusFrame } from "../proto/frame.ts";
import { LIMITS } from "../proto/limits.ts";
import type { BlockReport, Engine, EngineCounters } from "./engine.ts";
import type { Session } from "./session.ts";

const PERIOD_MS = 1000;
const SOON_MS = 100;

const NO_BLOCKS: BlockReport = {
  stored: new BigUint64Array(0),
  removed: new BigUint64Array(0),
};

function totalsOf(counters: EngineCounters): NodeTotals {
  return {
    promptTokens: counters.prefixQueries,
    cachedTokens: counters.prefixHits,
    steps: counters.sequenceSteps,
    draftedTokens: counters.draftedTokens,
    // An executor may accept deeper than our own trees are.
    acceptedByDepth: counters.acceptedByDepth.slice(0, LIMITS.beamLengthMax - 1),
  };
}

export class StatusReporter {
  readonly #engine: Engine;
  readonly #sessions: ReadonlySet<Session>;
  readonly #now: () => number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sentAt = 0;
  #isSoon = false;
  #rateAt: number;
  #rateTokens = 0;
  #rateSteps = 0;
  #tokensPerSecond = 0;
  #tokensPerStep = 0;

  /** @param sessions Those that have said Hello; the caller keeps it up to date. */
  constructor(engine: Engine, sessions: ReadonlySet<Session>, now: () => number) {
    this.#engine = engine;
    this.#sessions = sessions;
    this.#now = now;
    this.#rateAt = now();
  }

  /** A gateway has come: it gets all blocks there are. Others may get some of them twice, and the
   * newcomer a removal of what it never heard of; both mean nothing. */
  greet(session: Session): void {
    this.#send([session], { stored: this.#engine.storedBlocks(), removed: NO_BLOCKS.removed });
    if (this.#timer === undefined) this.#schedule(PERIOD_MS);
  }

  /** Something that gateways route by has changed. */
  soon(): void {
    if (this.#isSoon || this.#sessions.size === 0) return;
    this.#isSoon = true;
    clearTimeout(this.#timer);
    this.#schedule(Math.max(0, this.#sentAt + SOON_MS - this.#now()));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#isSoon = false;
      // Without a gateway there is nobody to tell; the blocks stay in the engine's report.
      if (this.#sessions.size === 0) return;
      this.#send(this.#sessions, this.#engine.takeBlockReport());
      this.#schedule(PERIOD_MS);
    }, delayMs);
  }

  #send(sessions: Iterable<Session>, report: BlockReport): void {
    this.#measure();
    const { queueCount, slotsBusy, pagesFree, contextTokensWaiting } = this.#engine.status();
    const totals = totalsOf(this.#engine.counters());
    const max = LIMITS.blocksPerStatusMax;
    const longest = Math.max(report.stored.length, report.removed.length);
    for (let start = 0; start === 0 || start < longest; start += max) {
      const frame: StatusFrame = {
        kind: "status",
        queueCount,
        slotsBusy,
        pagesFree,
        blocksStored: report.stored.subarray(start, start + max),
        blocksRemoved: report.removed.subarray(start, start + max),
        tokensPerStep: this.#tokensPerStep,
        tokensPerSecond: this.#tokensPerSecond,
        contextTokensWaiting,
        totals,
      };
      for (const session of [...sessions]) session.send(frame);
    }
    this.#sentAt = this.#now();
  }

  /** Rates over a second at least: over a tenth of one they would only be noise. */
  #measure(): void {
    const elapsedMs = this.#now() - this.#rateAt;
    if (elapsedMs < PERIOD_MS) return;
    const { generatedTokens, sequenceSteps } = this.#engine.counters();
    const tokens = generatedTokens - this.#rateTokens;
    const steps = sequenceSteps - this.#rateSteps;
    this.#tokensPerSecond = tokens * 1000 / elapsedMs;
    if (steps > 0) this.#tokensPerStep = tokens / steps;
    this.#rateAt += elapsedMs;
    this.#rateTokens = generatedTokens;
    this.#rateSteps = sequenceSteps;
  }
}
