/** The rows of `bench gateway` in the README's tables. Pure. @module */
import { entriesAt, type Figures, numberAt } from "./report_record.ts";

type Row = [what: string, figure: string];

const ms = (value: number) => `${value} ms`;
const times = (value: number) => `${value.toFixed(2)}x`;
const whole = (value: number) => Math.round(value).toLocaleString("en-US");

export function gatewayRows(figures: Figures): Row[] {
  const has = (name: string) => figures[name] !== undefined && figures[name] !== null;
  const part = (name: string, rows: (own: Figures) => Row[]) =>
    has(name) ? rows(figures[name] as Figures) : [];
  return [
    ...has("requests_per_second") ? loadRows(figures) : [],
    ...has("prefix_first_token_ratio") ? prefixRows(figures) : [],
    ...part("kills", killRows),
    ...part("overload", overloadRows),
    ...part("limits", limitRows),
    ...part("soak", soakRows),
  ];
}

function loadRows(figures: Figures): Row[] {
  const rate = whole(numberAt(figures, "requests_per_second"));
  const rows: Row[] = [
    ["the gateway adds to a request, median", ms(numberAt(figures, "added_p50_ms"))],
    ["requests a second, 32 clients", `${rate} (p99 ${ms(numberAt(figures, "p99_ms"))})`],
    ["held answers a second", whole(numberAt(figures, "cache_hits_per_second"))],
    ["tokens a second over many streams", whole(numberAt(figures, "stream_tokens_per_second"))],
  ];
  for (const [name, own] of entriesAt(figures, "peers")) {
    const added = ms(numberAt(own, "added_p50_ms"));
    const rate = whole(numberAt(own, "requests_per_second"));
    const over = times(numberAt(own, "requests_ratio"));
    const slowest = ms(numberAt(own, "p99_ms"));
    rows.push([
      `${name}, in turn with it`,
      `adds ${added}; ${rate} requests/s, of which ours are ${over} (p99 ${slowest})`,
    ]);
  }
  return rows;
}

function prefixRows(figures: Figures): Row[] {
  const held = numberAt(figures, "prefix_first_token_ratio").toFixed(3);
  const trace = figures.prefix_trace as Figures;
  const p50 = (policy: string) => whole(numberAt(trace, policy, "first_token_p50_ms"));
  return [
    ["first token with a 1,000-token prefix held, over cold", held],
    [
      `first token over a trace of shared prefixes, ${numberAt(trace, "nodes")} nodes, median`,
      `${p50("ours")} ms, round robin ${p50("round_robin")} ms ` +
      `(${times(numberAt(trace, "ratio"))})`,
    ],
  ];
}

function killRows(own: Figures): Row[] {
  const differing = `${numberAt(own, "differing_tokens")} tokens differ`;
  const unfinished = `${numberAt(own, "unfinished_streams")} streams without their finish`;
  return [[
    `kill -9 of the node at work, ${numberAt(own, "kills")} times`,
    `${differing}, ${unfinished}`,
  ]];
}

function overloadRows(own: Figures): Row[] {
  const statuses = entriesAt(own, "refused").map(([status, count]) =>
    `${whole(Number(count))} ${status}`
  );
  const p99 = whole(numberAt(own, "first_token_p99_ms"));
  const target = whole(numberAt(own, "target_ms"));
  const queue = `queue at most ${numberAt(own, "queue_most")} of ${numberAt(own, "queue_max")}`;
  const silent = numberAt(own, "refused_without_retry_after") + numberAt(own, "broken");
  return [[
    `four times too many requests for ${
      numberAt(own, "seconds")
    } s: first token of the admitted, p99`,
    `${p99} ms (target ${target}); ${whole(numberAt(own, "admitted"))} admitted, ${
      statuses.join(", ")
    }, ${silent} without Retry-After; ${queue}`,
  ]];
}

function limitRows(own: Figures): Row[] {
  const who = `${numberAt(own, "clients")} clients of one key, ${
    numberAt(own, "gateways")
  } gateways`;
  const used = whole(numberAt(own, "tokens_used"));
  const most = whole(numberAt(own, "tokens_per_minute"));
  return [[
    `tokens past the minute's limit, ${who}`,
    `${numberAt(own, "overshoot_tokens")} (${used} of ${most} used)`,
  ]];
}

function soakRows(own: Figures): Row[] {
  const slope = numberAt(own, "slope_mib_per_minute").toFixed(2);
  return [[
    `memory over ${numberAt(own, "minutes")} minutes of mixed load with drops`,
    `${numberAt(own, "resident_mib")} MiB, ${slope} MiB a minute after warm-up`,
  ]];
}
