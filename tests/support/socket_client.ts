/** A client of `/v1/generate`, for tests. @module */
import { chatBody, waitUntil } from "./scripted_gateway.ts";

// deno-lint-ignore no-explicit-any
export type SocketEvent = any;

/** A client's socket that keeps every event. */
export class SocketClient {
  readonly events: SocketEvent[] = [];
  closed: CloseEvent | undefined;

  constructor(readonly socket: WebSocket) {
    socket.onmessage = (event) => this.events.push(JSON.parse(event.data));
    socket.onclose = (event) => {
      this.closed = event;
    };
    socket.onerror = () => {};
  }

  static async open(url: string, options: Record<string, unknown> = {}): Promise<SocketClient> {
    const address = `${url.replace("http", "ws")}/v1/generate`;
    const client = new SocketClient(new WebSocket(address, options as unknown as string[]));
    await waitUntil(() => client.socket.readyState !== WebSocket.CONNECTING, "socket open");
    return client;
  }

  create(more: Record<string, unknown> = {}, event_id?: string): void {
    this.send({ type: "response.create", event_id, response: chatBody(more) });
  }

  send(event: unknown): void {
    this.socket.send(typeof event === "string" ? event : JSON.stringify(event));
  }

  async event(type: string): Promise<SocketEvent> {
    const find = () => this.events.find((event) => event.type === type);
    await waitUntil(() => find() !== undefined, type);
    return find();
  }
}
