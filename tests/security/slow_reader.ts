/** A client that asks for a stream and then takes nothing of it. @module */
import { chatBody } from "../support/scripted_gateway.ts";
import type { Script } from "../support/scripted_node.ts";

/** Of tokens whose events are over a kilobyte each: more than any socket's buffers hold. */
const TOKENS = 60_000;
const TOKENS_A_FRAME = 64;

/** A node's answer that goes on while there is credit for it. */
export const ENDLESS: Script = async (stream) => {
  const entry = {
    logprob: -1,
    top: Array.from({ length: 20 }, (_, i) => [97 + i, -1 - i] as const),
  };
  while (stream.sent < TOKENS && !stream.cancelled) {
    const count = Math.min(TOKENS_A_FRAME, stream.credit - stream.sent);
    if (count <= 0) await stream.changed();
    else {
      const logprobs = Array.from({ length: count }, () => ({ ...entry, top: [...entry.top] }));
      stream.tokens(new Array(count).fill(97), { logprobs });
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
};

export const ENDLESS_CONTEXT = 1 << 17;

/** Sends the request and reads nothing. */
export async function openUnread(hostname: string, port: number): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname, port });
  const body = JSON.stringify(
    chatBody({ stream: true, max_tokens: TOKENS, logprobs: true, top_logprobs: 19 }),
  );
  const head = [
    "POST /v1/chat/completions HTTP/1.1",
    "Host: localhost",
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
  ];
  await connection.write(new TextEncoder().encode(`${head.join("\r\n")}\r\n\r\n${body}`));
  return connection;
}
