/** The codec of the wire: one frame, one WebSocket message. Pure. @module */

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

/** @throws {FrameError} If the bytes are too many, are no frame, are of an unknown kind, or hold a
 * field out of bounds. Fields that this version does not know are ignored. */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length > LIMITS.frameBytesMax) throw tooLarge(bytes.length);
  try {
    const { kind, message } = splitFrame(bytes);
    const frame = fromWire(kind, message);
    checkFrame(frame);
    return frame;
  } catch (error) {
    if (error instanceof FrameError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new FrameError(`Cannot decode frame: ${reason}`, "malformed");
  }
}

function tooLarge(bytes: number): FrameError {
  const limit = LIMITS.frameBytesMax;
  return new FrameError(`Cannot use frame: ${bytes} bytes, at most ${limit}`, "too_large");
}

/** Reads the outer message by hand: the generated decoder would skip a kind it does not know, and
 * of two kinds it would silently keep one. */
function splitFrame(bytes: Uint8Array): { kind: FrameKind; message: Uint8Array } {
  const reader = protobuf.Reader.create(bytes);
  let kind: FrameKind | undefined;
  let message: Uint8Array = new Uint8Array(0);
  let unknownNumber: number | undefined;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    const number = tag >>> 3;
    const known = KINDS.get(number);
    if (known === undefined || (tag & 7) !== WIRE_TYPE_BYTES) {
      unknownNumber = number;
      reader.skipType(tag & 7);
      continue;
    }
    if (kind !== undefined) {
      throw new FrameError(`Cannot decode frame: it is both ${kind} and ${known}`, "malformed");
    }
    kind = known;
    message = reader.bytes();
  }
  if (kind !== undefined) return { kind, message };
  if (unknownNumber === undefined) {
    throw new FrameError("Cannot decode frame: it is empty", "malformed");
  }
  throw new FrameError(
    `Cannot decode frame: kind number ${unknownNumber} is unknown`,
    "unknown_kind",
  );
}
