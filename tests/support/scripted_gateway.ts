/** A gateway over scripted nodes, for tests of its whole surface. @module */
import { type Gateway, startGateway } from "../../gateway/gateway.ts";
import type { Log } from "../../gateway/log.ts";
import { type GatewayOptions, readOptions } from "../../gateway/options.ts";
import type { LoadModel, TokenText } from "../../gateway/served_model.ts";
import { ScriptedNode, type ScriptedNodeOptions, STOP_TOKEN } from "./scripted_node.ts";

/** Tokens are bytes; the template puts each message on a line. */
export const loadByteModel: LoadModel = (card, pageTokens) => ({
  card,
  pageTokens,
  stopTokens: [STOP_TOKEN],
  renderAndEncode: (messages, { addGenerationPrompt = true } = {}) => {
    const lines = messages.map(({ role, content }) => `${role}: ${content}\n`).join("");
    // The start of an answer is nothing here, and its lack a line's end.
    return encodeBytes(addGenerationPrompt ? lines : lines.trimEnd());
  },
  encodeText: (text) => encodeBytes(text),
  tokenText: byteText,
  tokenBytes: (token) => token < 256 ? Uint8Array.of(token) : undefined,
  hashBlocks: (tokens, salt) => {
    const blocks = new BigUint64Array(Math.floor(tokens.length / pageTokens));
    let hash = BigInt(salt.length);
    for (let i = 0; i < blocks.length * pageTokens; ++i) {
      hash = BigInt.asUintN(64, hash * 31n + BigInt(tokens[i]!) + 1n);
      if ((i + 1) % pageTokens === 0) blocks[(i + 1) / pageTokens - 1] = hash;
    }
    return blocks;
  },
});

export function encodeBytes(text: string): Uint32Array {
  return Uint32Array.from(new TextEncoder().encode(text));
}

export function byteText(): TokenText {
  const decoder = new TextDecoder();
  return {
    push: (tokens) => decoder.decode(Uint8Array.from(tokens), { stream: true }),
    flush: () => decoder.decode(),
    free: () => {},
  };
}

export class MemoryLog implements Log {
  readonly lines: string[] = [];
  write(level: string, event: string, fields: Record<string, unknown> = {}): void {
    this.lines.push(JSON.stringify({ level, event, ...fields }));
  }
}

export interface Fixture {
  gateway: Gateway;
  node: ScriptedNode;
  nodes: ScriptedNode[];
  log: MemoryLog;
  url: string;
  /** POSTs JSON. */
  post(path: string, body: unknown, init?: RequestInit): Promise<Response>;
  chat(body?: Record<string, unknown>, init?: RequestInit): Promise<Response>;
}

export interface FixtureOptions {
  nodes?: ScriptedNodeOptions[];
  /** Nodes that must be ready first; by default all. */
  readyCount?: number;
  args?: string[];
  env?: Record<string, string>;
  /** By default tokens are bytes. */
  loadModel?: LoadModel;
  /** Called before the listener opens. */
  adjust?: (options: GatewayOptions) => void;
}

/** Runs `act` against a gateway whose nodes are ready, and takes both down after it. */
export async function withGateway(
  act: (fixture: Fixture) => Promise<void>,
  options: FixtureOptions = {},
): Promise<void> {
  const nodes = (options.nodes ?? [{}]).map((node) => new ScriptedNode(node));
  const log = new MemoryLog();
  const args = ["--port", "0", "--drain-settle-s", "0", ...(options.args ?? [])];
  for (const node of nodes) args.push("--node", node.url);
  const gatewayOptions = readOptions(args, (name) => options.env?.[name]);
  options.adjust?.(gatewayOptions);
  const gateway = await startGateway(gatewayOptions, log, options.loadModel ?? loadByteModel);
  const url = `http://127.0.0.1:${gateway.port}`;
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    fetch(url + path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...init.headers },
    });
  const chat = (body: Record<string, unknown> = {}, init?: RequestInit) =>
    post("/v1/chat/completions", chatBody(body), init);
  try {
    const readyCount = options.readyCount ?? nodes.length;
    await waitUntil(() => gateway.services.pool.readyCount === readyCount, "nodes ready");
    await act({ gateway, node: nodes[0]!, nodes, log, url, post, chat });
  } finally {
    await gateway.close();
    await Promise.all(nodes.map((node) => node.stop()));
  }
}

export function chatBody(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { model: "scripted", messages: [{ role: "user", content: "Hi" }], ...more };
}

/** The status of a response whose body does not matter. */
export async function statusOf(response: Response): Promise<number> {
  await response.body?.cancel();
  return response.status;
}

/** Polls, since what is awaited happens on the other side of a socket.
 * @throws {Error} Naming `what` after twenty seconds: the machine may be busy. */
export async function waitUntil(isTrue: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`Cannot wait longer: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export interface SseEvent {
  data: string;
}

/** Every event of a response; comments are left out. */
export async function readEvents(response: Response): Promise<string[]> {
  const text = await response.text();
  return text.split("\n\n").filter((part) => part.startsWith("data: ")).map((part) =>
    part.slice("data: ".length)
  );
}

/** Chunks of a stream as JSON, without the closing [DONE], which must be there. */
// deno-lint-ignore no-explicit-any
export async function readChunks(response: Response): Promise<any[]> {
  const events = await readEvents(response);
  if (events.pop() !== "[DONE]") throw new Error("The stream does not end in [DONE]");
  return events.map((event) => JSON.parse(event));
}
