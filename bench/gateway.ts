/** `redraft bench gateway`: what the gateway costs and carries, and what it keeps when nodes die,
 * too many ask and time goes by. @module */
import { type Command, parseOptions, UsageError, wholeNumber } from "../cli/options.ts";
import { pullModel } from "../tools/pull_model.ts";
import { measureKills } from "./gateway_kills.ts";
import { measureLimits } from "./gateway_limits.ts";
import { measureOverload } from "./gateway_overload.ts";
import { PEERS } from "./gateway_peers.ts";
import { measurePrefix } from "./gateway_prefix.ts";
import { measureRounds, STREAM_TOKENS, WIDTH } from "./gateway_rounds.ts";
import { measureSoak } from "./gateway_soak.ts";
import { OUTPUT_OPTIONS, OUTPUT_OPTIONS_HELP, publish } from "./report_save.ts";

async function run(args: string[]): Promise<number> {
  const { values } = parseOptions(args, {
    rounds: { type: "string" },
    seconds: { type: "string" },
    streams: { type: "string" },
    peers: { type: "string" },
    prefix: { type: "boolean" },
    kills: { type: "string" },
    overload: { type: "string" },
    limits: { type: "boolean" },
    soak: { type: "string" },
    ...OUTPUT_OPTIONS,
  });
  const count = (name: string, fallback: number, max: number, min = 0) =>
    wholeNumber(values, name, { min, max, fallback });
  const rounds = count("rounds", 3, 100);
  const seconds = count("seconds", 3, 60, 1);
  const streams = count("streams", 1000, 4096, 1);
  const [kills, overload, soak] = [
    count("kills", 0, 10_000),
    count("overload", 0, 3600),
    count("soak", 0, 1440),
  ];
  const peers = String(values.peers ?? "").split(",").filter(Boolean);
  const stranger = peers.find((name) => !PEERS.includes(name));
  if (stranger !== undefined) {
    throw new UsageError(`Option '--peers' knows ${PEERS.join(", ")}, not ${stranger}`);
  }
  await pullModel();
  const figures = {
    ...rounds > 0 ? await measureRounds({ rounds, seconds, streams, peers }) : {},
    prefix_first_token_ratio: null,
    ...values.prefix ? await measurePrefix(Math.max(rounds, 1)) : {},
    ...kills > 0 ? { kills: await measureKills(kills) } : {},
    ...overload > 0 ? { overload: await measureOverload(overload) } : {},
    ...values.limits ? { limits: await measureLimits() } : {},
    ...soak > 0 ? { soak: await measureSoak(soak) } : {},
  };
  await publish({ bench: "gateway", args, values, figures });
  return 0;
}

export const command: Command = {
  summary: "what the gateway costs and carries",
  help: `Measures the gateway, with keys and limits on, before a mock node whose tokens are free.

  redraft bench gateway [OPTIONS]

  --rounds R     every figure R times, in turn with the peers; medians (default 3; 0: none)
  --seconds S    of each load (default 3)
  --streams N    open at once (default 1000), ${STREAM_TOKENS} tokens each, 2 a frame
  --peers LIST   also measure ${PEERS.join(", ")} (of PyPI and npm) before an HTTP mock
  --prefix       on three real nodes: first token with a 1,000-token prefix held over cold, and of
                 a trace of shared prefixes, our routing over round robin
  --kills N      kills the real node at work N times with greedy answers, N times with sampled ones
  --overload S   for S seconds, four times what a real node can serve
  --limits       64 clients of one key over two gateways on one Redis: tokens past the limit
  --soak M       M minutes of mixed load with drops: the slope of resident memory
${OUTPUT_OPTIONS_HELP}

direct_p50_ms is a request to the mock node over its WebSocket, added_p50_ms what the gateway and
HTTP add to it. Requests have answers of 8 tokens; ${WIDTH} clients. Client, gateway and mock share
the machine's cores.

Examples:
  redraft bench gateway --peers smg,portkey --prefix --json
  redraft bench gateway --rounds 0 --kills 100 --overload 60 --limits
`,
  run,
};
