/** What a node's answers amount to, counted as its frames come. Pure. @module */
import type { FinishFrame, TokensFrame } from "../proto/frame_types.ts";
import { LIMITS } from "../proto/limits.ts";

export class NodeTally {
  stepCount = 0;
  tokenCount = 0;
  draftedCount = 0;
  /** Of element d: steps that accepted more than d draft tokens. */
  readonly acceptedByDepth: number[] = new Array(LIMITS.beamLengthMax - 1).fill(0);
  promptCount = 0;
  /** Prompt tokens whose KV rows the node had already. */
  cachedCount = 0;

  tokens(frame: TokensFrame): void {
    for (const { tokenCount, draftedCount, acceptedCount } of frame.steps) {
      this.stepCount++;
      this.tokenCount += tokenCount;
      this.draftedCount += draftedCount;
      const depths = Math.min(acceptedCount, this.acceptedByDepth.length);
      for (let depth = 0; depth < depths; ++depth) this.acceptedByDepth[depth]! += 1;
    }
  }

  finish(frame: FinishFrame): void {
    this.promptCount += frame.promptCount;
    this.cachedCount += frame.cachedCount;
  }
}
