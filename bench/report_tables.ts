/** The README's figures as Markdown, from what the benches kept. Pure. @module */
import { gatewayRows } from "./report_gateway.ts";
import { type BenchRecord, entriesAt, type Figures, numberAt } from "./report_record.ts";

type Row = [what: string, figure: string];

const has = (figures: Figures, name: string) =>
  figures[name] !== undefined && figures[name] !== null;
const times = (value: number) => `${value.toFixed(2)}x`;
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
const rate = (value: number) => `${whole(value)} tokens/s`;
/** Three digits and more as a whole number with separators; less as it is. */
const whole = (value: number) =>
  value < 100 ? String(value) : Math.round(value).toLocaleString("en-US");

/** `1.17x (1.09 ... 1.25)` */
function interval(figures: Figures, name: string, show: (value: number) => string): string {
  const value = show(numberAt(figures, name));
  if (!has(figures, `${name}_low`)) return value;
  const [low, high] = [numberAt(figures, `${name}_low`), numberAt(figures, `${name}_high`)];
  const bare = (shown: string) => shown.replace(/x$| tokens\/s$/, "");
  return `${value} (${bare(show(low))} ... ${bare(show(high))})`;
}

/** The widths there are, `8 / 16`, with what `show` says of each. */
function perWidth(figures: Figures, name: string, show: (value: number) => string): Row {
  const own = figures[name] as Figures;
  const widths = entriesAt(figures, name).map(([width]) => width).filter((width) => width !== "1");
  return [widths.join(" / "), widths.map((width) => show(numberAt(own, width))).join(" / ")];
}

function engineRows(figures: Figures): Row[] {
  const [widths, rates] = perWidth(figures, "batch_tokens_per_second", whole);
  const [rows, costs] = perWidth(figures, "step_cost", (value) => value.toFixed(2));
  return [
    ["plain decoding, one sequence", interval(figures, "decode_tokens_per_second", rate)],
    ["a prompt of 512 tokens", interval(figures, "prompt_tokens_per_second", rate)],
    [`plain decoding, ${widths} sequences together`, `${rates} tokens/s`],
    [`step of ${rows} rows over a step of one`, costs],
    ...overheadRows(figures),
    ...memoryRows(figures),
    ...(has(figures, "peer_ratio") ? peerRows(figures) : []),
  ];
}

/** Records from before steps told their parts have none. */
function overheadRows(figures: Figures): Row[] {
  if (!has(figures, "step_micros")) return [];
  const share = percent(numberAt(figures, "overhead_share"));
  return [["time outside the model's layers, its logits and the draft head", share]];
}

function memoryRows(figures: Figures): Row[] {
  const mib = (value: number) => `${whole(value)} MiB`;
  const resident = numberAt(figures, "resident_mib");
  if (!has(figures, "kv_mib")) return [["resident memory of the bench", mib(resident)]];
  const kv = numberAt(figures, "kv_mib");
  return [[
    "resident memory besides KV pages, 32 sequences of 1,024 tokens",
    `${mib(resident - kv)}; KV ${mib(kv)}, ${numberAt(figures, "kv_kib_per_token")} KiB a token`,
  ]];
}

/** Ours over the peer's, round by round, and what the peer did. */
function peerRows(figures: Figures): Row[] {
  const peer = figures.peer as Figures;
  const ratio = figures.peer_ratio as Figures;
  const over = (what: string): string => `${what}, over ${peer.name}`;
  const [widths, rates] = perWidth(peer, "batch_tokens_per_second", whole);
  const [, ratios] = perWidth(ratio, "batch_tokens_per_second", times);
  const line = (name: string) =>
    `${interval(ratio, name, times)}; it does ${rate(numberAt(peer, name))}`;
  return [
    [over("plain decoding, one sequence"), line("decode_tokens_per_second")],
    [over("a prompt of 512 tokens"), line("prompt_tokens_per_second")],
    [over(`${widths} sequences together`), `${ratios}; it does ${rates} tokens/s`],
  ];
}

function specRows(figures: Figures): Row[] {
  const prompts = numberAt(figures, "prompts");
  const rows: Row[] = [
    [
      `speed-up over our own plain decoding (prompts: ${prompts})`,
      interval(figures, "speedup", times),
    ],
    ["the same, all tokens over all time", times(numberAt(figures, "speedup_of_totals"))],
    ["tokens per step", numberAt(figures, "tokens_per_step").toFixed(2)],
    ["answers that loop", percent(numberAt(figures, "looping_share"))],
    ...overheadRows(figures),
    ["tokens that differ from plain decoding's", String(numberAt(figures, "differing_tokens"))],
  ];
  if (!has(figures, "peer")) return rows;
  return [...rows, specPeerRow(figures, figures.peer as Figures)];
}

/** llama.cpp was measured two ways, a server as it is. */
function specPeerRow(figures: Figures, peer: Figures): Row {
  const ratio = interval(figures, "peer_ratio", times);
  if (has(peer, "tokens_per_second")) {
    const does = rate(numberAt(peer, "tokens_per_second"));
    return [`with speculation, over ${peer.name}`, `${ratio}; it does ${does}`];
  }
  const plain = whole(numberAt(peer, "plain_tokens_per_second"));
  const lookup = rate(numberAt(peer, "lookup_tokens_per_second"));
  return [
    `with speculation, over the better of ${peer.name}'s plain and n-gram decoding`,
    `${ratio}; it does ${plain} and ${lookup}`,
  ];
}

function logitsRows(figures: Figures): Row[] {
  const said = (own: Figures) =>
    `mean KL ${numberAt(own, "kl_mean").toPrecision(2)} nats, ` +
    `top-1 agreement ${percent(numberAt(own, "top1_agreement"))}`;
  const positions = whole(numberAt(figures, "positions"));
  const rows: Row[] = [
    [`logits against a float64 pass over the same file, ${positions} positions`, said(figures)],
  ];
  const peer = figures.peer as Figures | undefined;
  if (peer) rows.push([`the same of ${peer.name}`, said(peer)]);
  return rows;
}

function serveRows(figures: Figures): Row[] {
  const least = (name: string) =>
    Math.min(...entriesAt(figures, "sequences").map(([, own]) => numberAt(own, name))).toFixed(3);
  const words = "speculation on over off, the least of the table below " +
    "(the lowest end of their 95 % intervals)";
  return [
    [words, `${least("ratio")}x (${least("ratio_low")}x)`],
    ["tokens that differ", String(numberAt(figures, "differing_tokens"))],
  ];
}

function verifyRows(figures: Figures): Row[] {
  const [differing, comparisons] = [
    whole(numberAt(figures, "differing_tokens")),
    whole(numberAt(figures, "comparisons")),
  ];
  const prompts = numberAt(figures, "prompts");
  const what = `differing tokens, speculation on against off (prompts: ${prompts})`;
  return [[what, `${differing} in ${comparisons} comparisons`]];
}

/** In the order in which the README shows them. */
const BENCHES: Readonly<Record<string, (figures: Figures) => Row[]>> = {
  verify: verifyRows,
  spec: specRows,
  serve: serveRows,
  engine: engineRows,
  logits: logitsRows,
  gateway: gatewayRows,
};
const ORDER = Object.keys(BENCHES);

/** @param cells Text that may hold what Markdown reads as the end of a cell. */
const tableRow = (cells: readonly string[]) =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [tableRow(head), tableRow(head.map(() => "---")), ...rows.map(tableRow), ""];
}

function categoryTable({ figures }: BenchRecord): string[] {
  const rows = entriesAt(figures, "by_category").map(([name, own]) => [
    name,
    String(numberAt(own, "prompts")),
    numberAt(own, "tokens_per_step").toFixed(2),
    times(numberAt(own, "speedup")),
  ]);
  return table(["kind of prompt", "prompts", "tokens per step", "speed-up"], rows);
}

function sequencesTable({ figures }: BenchRecord): string[] {
  const rows = entriesAt(figures, "sequences").map(([count, own]) => [
    count,
    whole(numberAt(own, "on")),
    whole(numberAt(own, "off")),
    `${times(numberAt(own, "ratio"))} (from ${numberAt(own, "ratio_low").toFixed(2)})`,
    `${numberAt(own, "first_token_p50")} / ${numberAt(own, "first_token_p99")} s`,
  ]);
  const head = ["sequences", "on, tokens/s", "off", "on / off", "first token p50 / p99"];
  return table(head, rows);
}

const DETAILS: Readonly<Record<string, (record: BenchRecord) => string[]>> = {
  spec: categoryTable,
  serve: sequencesTable,
};

export interface ReportPart {
  record: BenchRecord;
  /** Of the record's chart, where it has one. */
  plot: { path: string; alt: string } | null;
}

const where = ({ machine, model, date, commit }: BenchRecord) =>
  [
    `${machine.cpu}, ${machine.vcpus} vCPUs, ${machine.isa}`,
    ...(model === null ? [] : [model]),
    `${date}, commit ${commit}`,
  ].join("; ");

function rowsOf(record: BenchRecord): string[][] {
  if (!Object.hasOwn(BENCHES, record.bench)) {
    throw new TypeError(
      `Cannot report bench ${JSON.stringify(record.bench)}: known are ${ORDER.join(", ")}`,
    );
  }
  const rows = BENCHES[record.bench](record.figures);
  return rows.map((row, index) => [...row, index ? "the same" : `\`${record.command}\``]);
}

/** All of the figures: a table for each machine, model, date and commit, then details and charts.
 * @throws {TypeError} Naming the bench or the figure that is not known. */
export function reportMarkdown(parts: readonly ReportPart[]): string {
  const rank = ({ record }: ReportPart) => ORDER.indexOf(record.bench);
  const sorted = [...parts].sort((a, b) => rank(a) - rank(b)); // Stable: else as they came.
  const groups = Map.groupBy(sorted, ({ record }) => where(record));
  const lines: string[] = [];
  for (const [place, own] of groups) {
    lines.push(`${place}:`, "");
    lines.push(...table(["what", "figure", "command"], own.flatMap((p) => rowsOf(p.record))));
  }
  for (const { record, plot } of sorted) {
    const detail = Object.hasOwn(DETAILS, record.bench) ? DETAILS[record.bench](record) : [];
    if (detail.length > 0 || plot) lines.push(`\`${record.command}\`:`, "");
    lines.push(...detail);
    if (plot) lines.push(`![${plot.alt}](${plot.path})`, "");
  }
  return lines.join("\n").trimEnd();
}

const BEGIN = "<!-- figures: written by deno task bench report -->";
const END = "<!-- end of figures -->";

/** Puts `markdown` between the marker comments of `text`.
 * @throws {TypeError} If the two comments are not there once each, in their order. */
export function replaceFigures(text: string, markdown: string): string {
  const [before, middle, ...more] = text.split(BEGIN);
  const [, after, ...rest] = (middle ?? "").split(END);
  if (after === undefined || more.length > 0 || rest.length > 0 || before.includes(END)) {
    throw new TypeError(`it must hold ${BEGIN} once, and after it ${END} once`);
  }
  return `${before}${BEGIN}\n${markdown ? `\n${markdown}\n\n` : ""}${END}${after}`;
}
