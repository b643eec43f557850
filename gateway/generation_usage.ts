/** What a generation used: tokens, drafts, times. Pure. @module */
import type { FinishFrame } from "../proto/frame_types.ts";

export interface GenerationUsage {
  promptCount: number;
  generatedCount: number;
  cachedCount: number;
  draftedCount: number;
  acceptedCount: number;
  stepCount: number;
  queueMs: number;
  contextMs: number;
  generationMs: number;
}

const SUMMED = [
  "draftedCount",
  "acceptedCount",
  "stepCount",
  "queueMs",
  "contextMs",
  "generationMs",
] as const;

export const NO_USAGE: GenerationUsage = {
  promptCount: 0,
  generatedCount: 0,
  cachedCount: 0,
  draftedCount: 0,
  acceptedCount: 0,
  stepCount: 0,
  queueMs: 0,
  contextMs: 0,
  generationMs: 0,
};

/** Counts that a node gives for its own part, put on top of what there was before it. */
export function addFinish(
  usage: GenerationUsage,
  before: Readonly<GenerationUsage>,
  frame: FinishFrame,
): void {
  // Who goes on from tokens of another node may have those cached too; they are no prompt.
  usage.cachedCount = Math.min(frame.cachedCount, usage.promptCount);
  for (const count of SUMMED) usage[count] = before[count] + frame[count];
}
