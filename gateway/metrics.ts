/** Counters and histograms, written as Prometheus text. @module */

/** Label sets of one metric: past them, further ones are counted as "other". */
const SERIES_MAX = 256;
/** OpenTelemetry's GenAI buckets for durations. */
const SECONDS = [.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
/** The same for token counts. */
const TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304];

type Labels = Record<string, string>;

interface Metric {
  write(lines: string[]): void;
}

function seriesKey(labels: Labels): string {
  let key = "";
  for (const name in labels) {
    key += `${key === "" ? "" : ","}${name}="${escapeLabel(labels[name]!)}"`;
  }
  return key;
}

const ESCAPED = /[\\"\n]/;

function escapeLabel(value: string): string {
  if (!ESCAPED.test(value)) return value;
  return value.replaceAll(/[\\"\n]/g, (char) => char === "\n" ? "\\n" : `\\${char}`);
}

function boundedKey(series: ReadonlyMap<string, unknown>, labels: Labels): string {
  const key = seriesKey(labels);
  if (series.has(key) || series.size < SERIES_MAX) return key;
  return seriesKey(Object.fromEntries(Object.keys(labels).map((name) => [name, "other"])));
}

export class Counter implements Metric {
  readonly #series = new Map<string, number>();

  constructor(readonly name: string, readonly help: string) {}

  add(amount: number, labels: Labels = {}): void {
    const key = boundedKey(this.#series, labels);
    this.#series.set(key, (this.#series.get(key) ?? 0) + amount);
  }

  write(lines: string[]): void {
    lines.push(`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} counter`);
    if (this.#series.size === 0) lines.push(`${this.name} 0`);
    for (const [key, value] of this.#series) {
      lines.push(key === "" ? `${this.name} ${value}` : `${this.name}{${key}} ${value}`);
    }
  }
}

export class Histogram implements Metric {
  readonly #series = new Map<string, { counts: Float64Array; sum: number }>();

  constructor(readonly name: string, readonly help: string, readonly bounds: readonly number[]) {}

  observe(value: number, labels: Labels = {}): void {
    const key = boundedKey(this.#series, labels);
    let series = this.#series.get(key);
    if (series === undefined) {
      series = { counts: new Float64Array(this.bounds.length + 1), sum: 0 };
      this.#series.set(key, series);
    }
    let bucket = 0;
    while (bucket < this.bounds.length && value > this.bounds[bucket]!) ++bucket;
    series.counts[bucket]! += 1;
    series.sum += value;
  }

  write(lines: string[]): void {
    lines.push(`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} histogram`);
    // A series that has seen nothing is told too, or rates would miss its first value.
    const empty = { counts: new Float64Array(this.bounds.length + 1), sum: 0 };
    const series = this.#series.size === 0 ? [["", empty] as const] : this.#series;
    for (const [key, { counts, sum }] of series) {
      const prefix = key === "" ? "" : `${key},`;
      let total = 0;
      counts.forEach((count, i) => {
        total += count;
        const bound = i < this.bounds.length ? this.bounds[i] : "+Inf";
        lines.push(`${this.name}_bucket{${prefix}le="${bound}"} ${total}`);
      });
      const labels = key === "" ? "" : `{${key}}`;
      lines.push(`${this.name}_sum${labels} ${sum}`, `${this.name}_count${labels} ${total}`);
    }
  }
}

/** Reads its values when asked. */
export class Gauge implements Metric {
  constructor(
    readonly name: string,
    readonly help: string,
    readonly read: () => Iterable<readonly [Labels, number]>,
  ) {}

  write(lines: string[]): void {
    lines.push(`# HELP ${this.name} ${this.help}`, `# TYPE ${this.name} gauge`);
    for (const [labels, value] of this.read()) {
      const key = seriesKey(labels);
      lines.push(key === "" ? `${this.name} ${value}` : `${this.name}{${key}} ${value}`);
    }
  }
}

/** The gateway's own. Names of the `gen_ai` group are OpenTelemetry's, in Prometheus spelling. */
export class Metrics {
  readonly requests = new Counter(
    "redraft_gateway_requests_total",
    "Requests by route and status; 499 is a client that left.",
  );
  readonly cacheHits = new Counter(
    "redraft_gateway_cache_hits_total",
    "Choices answered from the cache, or joined to one under way.",
  );
  readonly cacheMisses = new Counter(
    "redraft_gateway_cache_misses_total",
    "Choices looked up and not found.",
  );
  readonly limited = new Counter(
    "redraft_gateway_limited_total",
    "Requests refused by a limit of their key.",
  );
  readonly retries = new Counter(
    "redraft_gateway_retries_total",
    "Generations brought to another node before their first token.",
  );
  readonly moves = new Counter(
    "redraft_gateway_moves_total",
    "Generations that another node went on with after their first token.",
  );
  readonly hedges = new Counter(
    "redraft_gateway_hedges_total",
    "Generations for which a second node was asked.",
  );
  readonly shed = new Counter(
    "redraft_gateway_shed_total",
    "Requests turned away because too many waited, or for too long.",
  );
  readonly queueWait = new Histogram(
    "redraft_gateway_queue_seconds",
    "How long requests that had to wait for a node did.",
    SECONDS,
  );
  readonly faults = new Counter(
    "redraft_gateway_faults_total",
    "Errors that nothing caught: bugs of ours.",
  );
  readonly draftTokens = new Counter(
    "redraft_gateway_draft_tokens_total",
    "Draft tokens behind the answers, by whether they were accepted.",
  );
  readonly duration = new Histogram(
    "gen_ai_server_request_duration_seconds",
    "Time from a request's arrival to its last byte.",
    SECONDS,
  );
  readonly firstToken = new Histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "Time from a request's arrival to its first token.",
    SECONDS,
  );
  readonly perToken = new Histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Time from an answer's first token to its last, over its tokens after the first.",
    SECONDS,
  );
  readonly tokenUsage = new Histogram(
    "gen_ai_client_token_usage",
    "Tokens of a request, by type.",
    TOKENS,
  );
  readonly overhead = new Histogram(
    "redraft_gateway_overhead_seconds",
    "Time from a request's arrival until its generations were with a node.",
    [.00005, .0001, .0002, .0004, .0008, .0016, .0032, .0064, .0128, .0256, .0512, .1024],
  );
  readonly #gauges: Gauge[] = [];

  addGauge(gauge: Gauge): void {
    this.#gauges.push(gauge);
  }

  /** Prometheus text format 0.0.4. */
  text(): string {
    const lines: string[] = [];
    for (const metric of Object.values(this)) (metric as Metric).write(lines);
    for (const gauge of this.#gauges) gauge.write(lines);
    return `${lines.join("\n")}\n`;
  }
}
