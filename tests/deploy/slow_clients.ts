/** Clients that hold a connection by sending next to nothing. @module */

const POLL_MS = 1000;

/** A connection that the other side may close at any time. */
async function watched(connection: Deno.Conn): Promise<true> {
  const bytes = new Uint8Array(1024);
  try {
    while (await connection.read(bytes) !== null);
  } catch {
    // Reset: closed all the same.
  }
  return true;
}

/** Sends `head` at once, then `drip` every second.
 * @returns How long it was borne with, in milliseconds; Infinity past `mostMs`. */
export async function dripMs(
  address: { hostname: string; port: number },
  head: string,
  drip: string,
  mostMs: number,
): Promise<number> {
  const startedAt = performance.now();
  using connection = await Deno.connect(address);
  const closed = watched(connection);
  const encoder = new TextEncoder();
  await connection.write(encoder.encode(head));
  while (performance.now() - startedAt < mostMs) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const over = await Promise.race([
      closed,
      new Promise<false>((resolve) => timer = setTimeout(resolve, POLL_MS, false)),
    ]);
    clearTimeout(timer);
    if (over) return performance.now() - startedAt;
    await connection.write(encoder.encode(drip)).catch(() => {});
  }
  return Infinity;
}

/** A request whose headers never end. */
export const SLOW_HEADERS = "GET /healthz HTTP/1.1\r\nHost: a\r\nx-slow: ";

/** A body that is never sent. */
export const NO_BODY = "POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n" +
  "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{";

/** What the front says to a body of `bytes` bytes. */
export async function bodyStatus(url: string, bytes: number): Promise<number> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: new Uint8Array(bytes).fill(32),
  });
  await response.body?.cancel();
  return response.status;
}
