/** A client that says what it likes, byte for byte, and a listener for it alone. @module */
import { HttpServer, type HttpServerOptions } from "../../gateway/http_server.ts";

/** Writes all of it. */
export async function say(connection: Deno.Conn, text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
}

/** What comes next, in one read; "" at the end. */
export async function hear(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(65536);
  const count = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, count ?? 0));
}

/** A listener without a gateway behind it. */
export function listen(
  handle: HttpServerOptions["handle"],
  more: Partial<HttpServerOptions> = {},
): Promise<HttpServer> {
  return HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    messageBytesMax: () => 0,
    readerMsMax: () => 60_000,
    isClosing: () => false,
    onFault: () => {},
    handle,
    ...more,
  });
}
