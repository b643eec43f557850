/** The seed of block hashes: gateway and node must agree on it to the byte. Pure. @module */

const ENCODER = new TextEncoder();

/** Bytes from which the chain of block hashes starts. Models never match each other, and neither do
 * salts: prefix pages are shared among equal salts alone.
 * @param modelDigest SHA-256 of the model file, hex; it has no newline, so the pair is unambiguous.
 * @param salt The tenant's; may be empty. */
export function blockSeed(modelDigest: string, salt: string): Uint8Array {
  return ENCODER.encode(`${modelDigest}\n${salt}`);
}
