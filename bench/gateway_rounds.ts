/** The gateway and its peers under the same loads, round by round in turn. @module */
import { Progress } from "../tools/progress.ts";
import { MockNodeClient } from "./gateway_direct.ts";
import { LoadClient, runLoad, type Target } from "./gateway_load.ts";
import { freshBody, PeerGateway } from "./gateway_peers.ts";
import { CHAT_PATH, GatewayStand } from "./gateway_stand.ts";
import { median, quantile, round4 } from "./stats.ts";

export const WIDTH = 32;
export const STREAM_TOKENS = 200;

const HELD_BODY = JSON.stringify({
  model: "mock",
  messages: [{ role: "user", content: "What is the tide?" }],
  max_tokens: 8,
  temperature: 0,
});

function streamBody(n: number): string {
  return JSON.stringify({
    model: "mock",
    messages: [{ role: "user", content: `Story ${n}.` }],
    max_tokens: STREAM_TOKENS,
    stream: true,
  });
}

export interface RoundOptions {
  rounds: number;
  seconds: number;
  streams: number;
  peers: readonly string[];
}

/** What a gateway adds to one client's requests, and what it carries of many. */
class Proxying {
  readonly added: number[] = [];
  readonly rates: number[] = [];
  readonly slowest: number[] = [];

  async measure(target: Target, directMs: number, seconds: number): Promise<void> {
    const alone = await runLoad(target, 1, seconds, fresh);
    this.added.push(median(alone.latencies) - directMs);
    const { perSecond, latencies } = await runLoad(target, WIDTH, seconds, fresh);
    this.rates.push(perSecond);
    this.slowest.push(quantile(latencies, 0.99));
  }

  get figures() {
    return {
      added_p50_ms: round4(median(this.added)),
      requests_per_second: round4(median(this.rates)),
      p99_ms: round4(median(this.slowest)),
    };
  }

  /** Of medians of pairs, each of one round. */
  over(peer: Proxying) {
    const ratio = (ours: number[], theirs: number[]) =>
      round4(median(ours.map((value, i) => value / theirs[i]!)));
    return {
      added_p50_ratio: ratio(this.added, peer.added),
      requests_ratio: ratio(this.rates, peer.rates),
      p99_ratio: ratio(this.slowest, peer.slowest),
    };
  }
}

let asked = 0;
const fresh = () => freshBody(++asked);

/** Tokens a second over all of `width` streams, from the first request to the last token. */
async function streamRate(target: Target, width: number): Promise<number> {
  const startedAt = performance.now();
  const clients: LoadClient[] = [];
  while (clients.length < width) clients.push(await LoadClient.open(target));
  await Promise.all(clients.map(async (client, n) => {
    await client.post(streamBody(n));
    client.close();
  }));
  return width * STREAM_TOKENS / ((performance.now() - startedAt) / 1000);
}

/** Everything is up all the time; one load runs at a time. */
export async function measureRounds({ rounds, seconds, streams, peers: names }: RoundOptions) {
  await using stand = await GatewayStand.start();
  await using disposal = new AsyncDisposableStack();
  const { direct: directPort, http } = stand.ports;
  const mock: Target = { hostname: "127.0.0.1", port: http, path: CHAT_PATH };
  const peers: { gateway: PeerGateway; load: Proxying }[] = [];
  for (const name of names) {
    const gateway = disposal.use(await PeerGateway.start(name, http));
    peers.push({ gateway, load: new Proxying() });
  }
  const ours = new Proxying();
  const direct: number[] = [], hits: number[] = [], tokens: number[] = [];
  const progress = new Progress("bench gateway");
  for (const target of [stand.target(), ...peers.map(({ gateway }) => gateway.target)]) {
    await runLoad(target, WIDTH, seconds, fresh); // Warm-up.
  }
  for (let round = 1; round <= rounds; ++round) {
    const directMs = median(await MockNodeClient.latencies(directPort, seconds));
    direct.push(directMs);
    await ours.measure(stand.target(), directMs, seconds);
    for (const { gateway, load } of peers) {
      const alone = await runLoad(mock, 1, seconds, fresh);
      await load.measure(gateway.target, median(alone.latencies), seconds);
    }
    hits.push((await runLoad(stand.target(), WIDTH, seconds, () => HELD_BODY)).perSecond);
    tokens.push(await streamRate(stand.target(), streams));
    progress.note(`bench gateway: round ${round} of ${rounds}`);
  }
  return {
    direct_p50_ms: round4(median(direct)),
    ...ours.figures,
    cache_hits_per_second: round4(median(hits)),
    stream_tokens_per_second: round4(median(tokens)),
    peers: Object.fromEntries(
      peers.map(({ gateway, load }) => [gateway.name, { ...load.figures, ...ours.over(load) }]),
    ),
  };
}
