/** Checks of single frame fields, the same for what comes in and what goes out. Pure. @module */

import { FrameError } from "./frame_types.ts";

/** Where a check stands: the frame's kind and its stream, for the error's sake. */
export interface FieldOwner {
  kind: string;
  streamId: number;
}

const UTF8 = new TextEncoder();

/** The error for one field. `problem` continues "submit.top_p". */
export function fieldError(owner: FieldOwner, field: string, problem: string): FrameError {
  const path = `${owner.kind}.${field}`;
  return new FrameError(
    `Cannot use frame: ${path} ${problem}`,
    "bad_field",
    path,
    owner.streamId,
  );
}

export function checkInteger(
  owner: FieldOwner,
  field: string,
  value: number,
  min: number,
  max: number,
): number {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw fieldError(owner, field, `is ${value}, not an integer in [${min}, ${max}]`);
}

/** NaN and the infinities fail here: no comparison with them is true. */
export function checkNumber(
  owner: FieldOwner,
  field: string,
  value: number,
  min: number,
  max: number,
): number {
  if (value >= min && value <= max) return value;
  throw fieldError(owner, field, `is ${value}, not a number in [${min}, ${max}]`);
}

export function checkText(
  owner: FieldOwner,
  field: string,
  value: string,
  bytesMax: number,
): string {
  // A UTF-16 unit takes at most 3 bytes, so most strings pass without being encoded.
  if (value.length * 3 <= bytesMax || UTF8.encode(value).length <= bytesMax) return value;
  throw fieldError(owner, field, `is longer than ${bytesMax} bytes`);
}

export function checkCount(
  owner: FieldOwner,
  field: string,
  count: number,
  min: number,
  max: number,
): number {
  if (count >= min && count <= max) return count;
  throw fieldError(owner, field, `has ${count} elements, not ${min} to ${max}`);
}

export function checkTokens(
  owner: FieldOwner,
  field: string,
  tokens: ArrayLike<number>,
  vocabSizeMax: number,
): void {
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (Number.isInteger(token) && token >= 0 && token < vocabSizeMax) continue;
    throw fieldError(owner, `${field}[${i}]`, `is ${token}, not a token id`);
  }
}
