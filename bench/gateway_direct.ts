/** The mock node without a gateway: one request after another over its WebSocket. @module */
import { decodeFrames, encodeFrame, type Frame } from "../proto/frame.ts";
import { PROTOCOL_VERSION, SUBPROTOCOL } from "../proto/limits.ts";
import { GREEDY } from "../proto/sampling.ts";

const PROMPT = Uint32Array.from({ length: 40 }, (_, i) => 260 + i);
const TOKENS = 8;

export class MockNodeClient {
  readonly #socket: WebSocket;
  #wake: (frame: Frame) => void = () => {};

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => decodeFrames(new Uint8Array(data)).forEach(this.#wake);
  }

  /** Milliseconds from a Submit to its Finish, again and again for `seconds`. */
  static async latencies(port: number, seconds: number): Promise<number[]> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, SUBPROTOCOL);
    const client = new MockNodeClient(socket);
    await new Promise((resolve, reject) => (socket.onopen = resolve, socket.onerror = reject));
    const hello = { kind: "hello", protocolVersion: PROTOCOL_VERSION, gatewayId: "bench" } as const;
    await client.#until({ ...hello, takesSeveral: true }, "welcome");
    const latencies: number[] = [];
    const end = performance.now() + seconds * 1000;
    let streamId = 0;
    for (let now = performance.now(); now < end;) {
      await client.#until(submit(++streamId), "finish");
      const after = performance.now();
      latencies.push(after - now);
      now = after;
    }
    const closed = new Promise((resolve) => socket.onclose = resolve);
    socket.close();
    await closed;
    return latencies;
  }

  #until(frame: Frame, kind: Frame["kind"]): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = (answer) => answer.kind === kind && resolve();
      this.#socket.send(encodeFrame(frame) as Uint8Array<ArrayBuffer>);
    });
  }
}

function submit(streamId: number): Frame {
  return {
    kind: "submit",
    streamId,
    tokens: PROMPT,
    generatedCount: 0,
    tokensMax: TOKENS,
    sampling: { ...GREEDY, temperature: 1, seedLow: streamId },
    stopTokens: [],
    speculation: { mode: "default", beamWidth: 0, beamLength: 0, packedMax: 0, wantTree: false },
    credit: TOKENS,
    priority: 0,
    salt: "",
    traceparent: "",
    deadlineMs: 0,
    ignorePrefix: false,
  };
}
