/** What the attacks share: a gateway with keys, and raw bytes on its port. @module */
import assert from "node:assert/strict";
import type { Fixture } from "../support/scripted_gateway.ts";
import { ATTACK_CLASSES } from "./classes.ts";

export const KEY_A = "sk-alice-0123456789";
export const KEY_B = "sk-bobby-0123456789";
export const KEYED = { env: { REDRAFT_API_KEYS: `alice=${KEY_A},bobby=${KEY_B}` } };
export const AS_A = { headers: { authorization: `Bearer ${KEY_A}` } };
export const AS_B = { headers: { authorization: `Bearer ${KEY_B}` } };

const RAW_MS_MAX = 5000;

/** Registers a test under the name of its class. */
export function attack(number: number, act: () => Promise<void>): void {
  Deno.test(`class ${number}: ${ATTACK_CLASSES[number]}`, act);
}

/** What comes back for raw bytes, until the other side closes or a head has come. */
export async function raw({ gateway }: Fixture, request: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
  const timer = setTimeout(() => connection.close(), RAW_MS_MAX);
  try {
    await connection.write(new TextEncoder().encode(request));
    let answer = "";
    const buffer = new Uint8Array(65536);
    while (!answer.includes("\r\n\r\n")) {
      const count = await connection.read(buffer);
      if (count === null) break;
      answer += new TextDecoder().decode(buffer.subarray(0, count));
    }
    return answer;
  } catch (error) {
    // A reset is a refusal, too.
    if (error instanceof Deno.errors.ConnectionReset || error instanceof Deno.errors.BrokenPipe) {
      return "";
    }
    throw error;
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch {
      // The timer was first.
    }
  }
}

export function statusIn(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);
}

/** The error of a response that must be one, in OpenAI's shape. */
export async function errorOf(
  response: Response,
  status: number,
): Promise<{ code: string; param: string | null; message: string }> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const { error } = JSON.parse(text);
  for (const key of ["message", "type", "param", "code"]) assert.ok(key in error, key);
  return error;
}
