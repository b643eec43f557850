/** A load client of few words: HTTP/1.1 over one TCP connection, so that what is measured is the
 * server and not a client's fetch. @module */

const ENCODER = new TextEncoder();
const DECODER = new TextDecoder();
const BUFFER_BYTES = 1 << 16;

/** The server answered with something else than 200. */
export class LoadError extends Error {
  override readonly name = "LoadError";
}

export interface Target {
  hostname: string;
  port: number;
  path: string;
  headers?: Record<string, string>;
}

export interface Exchange {
  /** The status line and the headers. */
  head: string;
  /** When it was there. */
  headAt: number;
  /** Empty where the answer came in chunks. */
  body: string;
}

/** One connection; one request at a time. */
export class LoadClient {
  readonly #buffer = new Uint8Array(BUFFER_BYTES);

  private constructor(readonly connection: Deno.TcpConn, readonly target: Target) {}

  static async open(target: Target): Promise<LoadClient> {
    const { hostname, port } = target;
    const connection = await Deno.connect({ hostname, port });
    connection.setNoDelay(true);
    return new LoadClient(connection, target);
  }

  /** Sends `body` and reads the whole answer.
   * @param onBytes Told of each piece of a chunked body.
   * @throws {LoadError} If it is none, or another one than 200. */
  async post(body: string, onBytes?: (bytes: Uint8Array) => void): Promise<void> {
    const { head } = await this.exchange(body, onBytes);
    if (!head.startsWith("HTTP/1.1 200")) {
      throw new LoadError(`Cannot measure: ${head.split("\r\n")[0]}`);
    }
  }

  /** As `post()`, but any answer will do. */
  async exchange(body: string, onBytes?: (bytes: Uint8Array) => void): Promise<Exchange> {
    const { hostname, path, headers = {} } = this.target;
    const bytes = ENCODER.encode(body);
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const head =
      `POST ${path} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\n` +
      `content-length: ${bytes.length}\r\n${lines}\r\n`;
    await this.#write(ENCODER.encode(head + body));
    return await this.#read(onBytes);
  }

  close(): void {
    this.connection.close();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length;) {
      sent += await this.connection.write(bytes.subarray(sent));
    }
  }

  async #read(onBytes?: (bytes: Uint8Array) => void): Promise<Exchange> {
    let head = "";
    let rest: Uint8Array = new Uint8Array(0);
    while (rest.length === 0 && !head.endsWith("\r\n\r\n")) {
      const piece = await this.#next();
      head += DECODER.decode(piece);
      const end = head.indexOf("\r\n\r\n");
      if (end < 0) continue;
      // Heads are ASCII, so characters are bytes.
      rest = piece.slice(piece.length - (head.length - end - 4));
      head = head.slice(0, end + 4);
    }
    const headAt = performance.now();
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (length === undefined) {
      await this.#readChunked(rest, onBytes);
      return { head, headAt, body: "" };
    }
    let body = DECODER.decode(rest);
    for (let left = Number(length) - rest.length; left > 0;) {
      const piece = await this.#next();
      left -= piece.length;
      body += DECODER.decode(piece);
    }
    return { head, headAt, body };
  }

  /** To the last chunk, which is empty. */
  async #readChunked(first: Uint8Array, onBytes?: (bytes: Uint8Array) => void): Promise<void> {
    let tail = DECODER.decode(first.subarray(-7));
    onBytes?.(first);
    while (!tail.endsWith("\r\n0\r\n\r\n")) {
      const piece = await this.#next();
      onBytes?.(piece);
      tail = (tail + DECODER.decode(piece.subarray(-7))).slice(-7);
    }
  }

  async #next(): Promise<Uint8Array> {
    const count = await this.connection.read(this.#buffer);
    if (count === null) throw new LoadError("Cannot measure: the server closed the connection");
    return this.#buffer.subarray(0, count);
  }
}

export interface LoadFigures {
  perSecond: number;
  /** Of each request, in milliseconds. */
  latencies: number[];
}

/** A closed loop of `width` connections for `seconds`.
 * @param bodyOf Of the n-th request over all. */
export async function runLoad(
  target: Target,
  width: number,
  seconds: number,
  bodyOf: (n: number) => string,
): Promise<LoadFigures> {
  const clients = await Promise.all(Array.from({ length: width }, () => LoadClient.open(target)));
  const latencies: number[] = [];
  let count = 0;
  const startedAt = performance.now();
  const end = startedAt + seconds * 1000;
  await Promise.all(clients.map(async (client) => {
    for (let now = performance.now(); now < end;) {
      await client.post(bodyOf(count++));
      const after = performance.now();
      latencies.push(after - now);
      now = after;
    }
  }));
  const elapsed = (performance.now() - startedAt) / 1000;
  for (const client of clients) client.close();
  return { perSecond: latencies.length / elapsed, latencies };
}
