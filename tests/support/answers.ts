/** Generations without a node, for tests. @module */
import { AnswerText } from "../../gateway/answer_text.ts";
import { Generation } from "../../gateway/generation.ts";
import { byteText, encodeBytes } from "./scripted_gateway.ts";

/** One under way. */
export function newAnswer(): Generation {
  return new Generation({
    answerText: new AnswerText(byteText(), []),
    promptCount: 1,
    tokensMax: 100_000,
    wantTrace: false,
  });
}

export function finishedAnswer(text: string): Generation {
  const answer = newAnswer();
  const tokens = [...encodeBytes(text)];
  answer.tokens({ kind: "tokens", streamId: 1, firstIndex: 0, tokens, logprobs: [], steps: [] });
  answer.finish({
    kind: "finish",
    streamId: 1,
    reason: "length",
    promptCount: 1,
    generatedCount: tokens.length,
    cachedCount: 0,
    draftedCount: 0,
    acceptedCount: 0,
    stepCount: 1,
    queueMs: 0,
    contextMs: 0,
    generationMs: 0,
  });
  return answer;
}
