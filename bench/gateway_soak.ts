/** The gateway's memory over minutes of mixed load, with clients that leave half-way. @module */
import { Progress } from "../tools/progress.ts";
import { LoadClient, LoadError } from "./gateway_load.ts";
import { CHAT_PATH, GatewayStand, KEY } from "./gateway_stand.ts";
import { median, round4, slope } from "./stats.ts";

const CLIENTS = 24;
const STREAM_TOKENS = 400;
const SAMPLE_MS = 1000;
/** Share of the time in which caches fill and code is compiled. */
const WARM_UP = 0.25;
const HELD_QUESTIONS = 5000;

type Kind = "fresh" | "held" | "stream" | "dropped" | "wrong" | "socket";
const KINDS: readonly Kind[] = ["fresh", "held", "stream", "dropped", "wrong", "socket"];

function body(kind: Kind, n: number): string {
  if (kind === "wrong") return '{"model":"mock","messages":3';
  const topic = kind === "held" ? n % HELD_QUESTIONS : n;
  return JSON.stringify({
    model: "mock",
    messages: [{ role: "user", content: `Question ${topic}: what is the tide?` }],
    ...kind === "held" ? { temperature: 0, max_tokens: 8 } : {},
    ...kind === "fresh" ? { max_tokens: 8 } : {},
    ...kind === "stream" || kind === "dropped"
      ? { stream: true, max_tokens: STREAM_TOKENS, seed: n }
      : {},
  });
}

/** Closes its connection when the first bytes of a stream have come. */
async function drop(stand: GatewayStand, n: number): Promise<void> {
  const client = await LoadClient.open(stand.target());
  let open = true;
  try {
    await client.exchange(body("dropped", n), () => {
      if (open) client.close();
      open = false;
    });
  } catch (error) {
    if (open && !(error instanceof LoadError)) throw error;
  } finally {
    if (open) client.close();
  }
}

/** A WebSocket with one generation, which is closed before the generation ends. */
function useSocket(stand: GatewayStand, n: number): Promise<void> {
  const { hostname, port } = stand.target();
  const socket = new WebSocket(`ws://${hostname}:${port}/v1/generate`, {
    headers: { authorization: `Bearer ${KEY}` },
  } as unknown as string[]);
  return new Promise((resolve, reject) => {
    socket.onopen = () => {
      const response = JSON.parse(body("dropped", n));
      delete response.stream;
      socket.send(JSON.stringify({ type: "response.create", response }));
    };
    let events = 0;
    socket.onmessage = () => {
      if (++events === 3) socket.close();
    };
    socket.onerror = () => reject(new Error("Cannot measure: the WebSocket failed"));
    socket.onclose = () => resolve();
  });
}

async function work(stand: GatewayStand, worker: number, end: number, counts: Map<Kind, number>) {
  const client = await LoadClient.open(stand.target());
  try {
    for (let n = worker; performance.now() < end; n += CLIENTS) {
      const kind = KINDS[Math.floor(n / CLIENTS + worker) % KINDS.length]!;
      if (kind === "dropped") await drop(stand, n);
      else if (kind === "socket") await useSocket(stand, n);
      else await client.exchange(body(kind, n));
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
  } finally {
    client.close();
  }
}

/** Resident memory of a process, in bytes. */
async function residentBytes(pid: number): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) * 1024;
}

export async function measureSoak(minutes: number) {
  await using stand = await GatewayStand.start({ flags: ["--cache-mib=8"] });
  const progress = new Progress("bench gateway");
  const counts = new Map<Kind, number>();
  const startedAt = performance.now();
  const end = startedAt + minutes * 60_000;
  const samples: { minute: number; mib: number }[] = [];
  const clients = Array.from({ length: CLIENTS }, (_, i) => work(stand, i, end, counts));
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    const minute = (performance.now() - startedAt) / 60_000;
    samples.push({ minute, mib: await residentBytes(stand.gateways[0]!.pid) / 2 ** 20 });
    progress.update(`${CHAT_PATH} for ${minute.toFixed(1)} min, ${samples.at(-1)!.mib | 0} MiB`);
  }
  await Promise.all(clients);
  const warm = samples.filter(({ minute }) => minute >= minutes * WARM_UP);
  const perMinute = slope(warm.map(({ minute, mib }) => [minute, mib] as const));
  const middle = median(warm.map(({ mib }) => mib));
  const active = await stand.metric("redraft_gateway_requests_active");
  return {
    minutes,
    requests: Object.fromEntries(counts),
    resident_mib: Math.round(middle),
    resident_mib_most: Math.round(Math.max(...warm.map(({ mib }) => mib))),
    slope_mib_per_minute: round4(perMinute),
    /** What the slope adds over the time after warm-up, as a share of what there is. */
    growth_share: round4(perMinute * minutes * (1 - WARM_UP) / middle),
    active_at_end: active,
  };
}
