/** The codec of the wire: a WebSocket message is one frame or, where both sides take that, several.
 * Pure. @module */

import protobuf from "protobufjs/minimal.js";
import { checkFrame } from "./frame_rules.ts";
import { type Frame, FrameError, type FrameKind } from "./frame_types.ts";
import { fromWire, toWire } from "./frame_wire.ts";
import { LIMITS } from "./limits.ts";
import { redraft } from "./messages.js";

export * from "./frame_types.ts";

const WIRE_TYPE_BYTES = 2;

/** Kinds by their field number in `message Frame`. */
const KINDS: ReadonlyMap<number, FrameKind> = new Map<number, FrameKind>([
  [1, "hello"],
  [2, "welcome"],
  [3, "submit"],
  [4, "cancel"],
  [5, "credit"],
  [6, "tokens"],
  [7, "finish"],
  [8, "failure"],
  [9, "status"],
  [10, "drain"],
  [11, "tokenizerGet"],
  [12, "tokenizerChunk"],
]);

/** @throws {FrameError} If a field is out of bounds or the frame is too large: a frame that a peer
 * must refuse is never sent. */
export function encodeFrame(frame: Frame): Uint8Array {
  checkFrame(frame);
  const bytes = redraft.v1.Frame.encode({ [frame.kind]: toWire(frame) }).finish();
  if (bytes.length > LIMITS.frameBytesMax) throw tooLarge(bytes.length);
  return bytes;
}

/** @throws {FrameError} If the bytes are too many, are not one frame, are of an unknown kind, or
 * hold a field out of bounds. Fields that this version does not know are ignored. */
export function decodeFrame(bytes: Uint8Array): Frame {
  return guarded(bytes, () => {
    const parts = splitFrames(bytes);
    if (parts.length > 1) {
      const kinds = `it is both ${parts[0]!.kind} and ${parts[1]!.kind}`;
      throw new FrameError(`Cannot decode frame: ${kinds}`, "malformed");
    }
    return readPart(parts[0]!);
  });
}

/** The frames of a message that may hold several, in the order in which they were written.
 * @throws {FrameError} As `decodeFrame()`. */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  return guarded(bytes, () => splitFrames(bytes).map(readPart));
}

/** One message of several encoded frames. */
export function joinFrames(frames: readonly Uint8Array[]): Uint8Array {
  if (frames.length === 1) return frames[0]!;
  let length = 0;
  for (const bytes of frames) length += bytes.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const bytes of frames) {
    joined.set(bytes, at);
    at += bytes.length;
  }
  return joined;
}

function guarded<T>(bytes: Uint8Array, decode: () => T): T {
  if (bytes.length > LIMITS.frameBytesMax) throw tooLarge(bytes.length);
  try {
    return decode();
  } catch (error) {
    if (error instanceof FrameError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new FrameError(`Cannot decode frame: ${reason}`, "malformed");
  }
}

function readPart({ kind, message }: Part): Frame {
  const frame = fromWire(kind, message);
  checkFrame(frame);
  return frame;
}

interface Part {
  kind: FrameKind;
  message: Uint8Array;
}

function tooLarge(bytes: number): FrameError {
  const limit = LIMITS.frameBytesMax;
  return new FrameError(`Cannot use frame: ${bytes} bytes, at most ${limit}`, "too_large");
}

/** Reads the outer message by hand: the generated decoder would skip a kind it does not know, and
 * of several kinds it would silently keep one.
 * @returns One at least. */
function splitFrames(bytes: Uint8Array): Part[] {
  const reader = protobuf.Reader.create(bytes);
  const parts: Part[] = [];
  let unknownNumber: number | undefined;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    const kind = KINDS.get(number);
    if (kind === undefined || (tag & 7) !== WIRE_TYPE_BYTES) {
      unknownNumber = number;
      reader.skipType(tag & 7);
      continue;
    }
    parts.push({ kind, message: reader.bytes() });
  }
  if (parts.length > 0) return parts;
  if (unknownNumber === undefined) {
    throw new FrameError("Cannot decode frame: it is empty", "malformed");
  }
  throw new FrameError(
    `Cannot decode frame: kind number ${unknownNumber} is unknown`,
    "unknown_kind",
  );
}
