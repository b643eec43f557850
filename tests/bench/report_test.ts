import assert from "node:assert/strict";
import { gatewayRows } from "../../bench/report_gateway.ts";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { learningCurve, plotOf } from "../../bench/report_plots.ts";
import { type BenchRecord, parseRecord, shownCommand } from "../../bench/report_record.ts";
import { publish } from "../../bench/report_save.ts";
import { barChart, lineChart } from "../../bench/report_svg.ts";
import { replaceFigures, reportMarkdown } from "../../bench/report_tables.ts";

const MOD = fileURLToPath(new URL("../../mod.ts", import.meta.url));
/** What one short run of each bench kept: its figures are of no use but here. */
const FIXTURE = fileURLToPath(new URL("report_fixture", import.meta.url));
const NAMES = ["engine", "gateway", "logits", "serve", "spec", "verify"];
const EMPTY = "before\n<!-- figures: written by deno task bench report -->\nold\n" +
  "<!-- end of figures -->\nafter\n";

async function runReport(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MOD, "bench", "report", ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

async function readFixture(name: string): Promise<BenchRecord> {
  const path = join(FIXTURE, `${name}.json`);
  return parseRecord(await Deno.readTextFile(path), path);
}

/** Fails unless each element is closed, in order. */
function assertWellFormed(svg: string): void {
  const open: string[] = [];
  for (const [, close, name, self] of svg.matchAll(/<(\/?)([a-z]+)[^>]*?(\/?)>/g)) {
    if (close) assert.equal(open.pop(), name);
    else if (!self) open.push(name);
  }
  assert.deepEqual(open, []);
  assert.ok(!/NaN|undefined|Infinity/.test(svg), svg);
}

Deno.test("bench report writes README and charts, which --check then holds to", async () => {
  const folder = await Deno.makeTempDir();
  try {
    for (const name of NAMES) {
      await Deno.copyFile(join(FIXTURE, `${name}.json`), join(folder, `${name}.json`));
    }
    const readme = join(folder, "README.md");
    await Deno.writeTextFile(readme, EMPTY);
    const args = [folder, "--readme", readme, "--plots", folder];
    const refused = await runReport(...args, "--check");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /README\.md is not what the results say/);
    const first = await runReport(...args);
    assert.equal(first.code, 0, first.stderr);
    const changed = first.stdout.trim().split("\n").map((path) => path.split("/").at(-1));
    assert.deepEqual(changed, ["engine.svg", "serve.svg", "spec.svg", "README.md"]);
    assert.equal((await runReport(...args)).stdout, "", "a second run changes nothing");
    assert.equal((await runReport(...args, "--check")).code, 0);
    for (const name of NAMES) {
      const text = await Deno.readTextFile(readme);
      assert.ok(text.includes((await readFixture(name)).command), name);
    }
    const path = join(folder, "spec.json");
    const spec = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, spec.replace(/("tokens_per_step": )[\d.]+/, "$19.99"));
    assert.match((await runReport(...args, "--check")).stderr, /README\.md is not/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("rows of bench gateway say what was measured, and nothing of what was not", async () => {
  const { figures } = await readFixture("gateway");
  const told = gatewayRows(figures).map((row) => row.join(" | ")).join("\n");
  for (
    const words of [
      /smg.*2,889 requests\/s, of which ours are 0\.79x/,
      /over cold \| 0\.020/,
      /112 ms, round robin 969 ms \(0\.12x\)/,
      /6 times \| 0 tokens differ, 0 streams/,
      /1,738 ms \(target 2,000\); 120 admitted, 128 429, 35 503, 0 without/,
      /64 clients of one key, 2 gateways \| 0 \(19,980 of 20,000 used\)/,
      /183 MiB, 41\.45 MiB a minute/,
    ]
  ) assert.match(told, words);
  assert.deepEqual(gatewayRows({ limits: figures.limits }).length, 1);
  assert.throws(() => gatewayRows({ kills: {} }), /Cannot report figure/);
});

Deno.test("the repository's README and charts are what bench/results says", async () => {
  const { code, stderr } = await runReport("--check");
  assert.equal(code, 0, stderr);
});

Deno.test("bench report names the file and what it lacks", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const readme = join(folder, "README.md"), file = join(folder, "spec.json");
    await Deno.writeTextFile(readme, EMPTY);
    const record = await readFixture("spec");
    await Deno.writeTextFile(file, JSON.stringify({ ...record, figures: { prompts: 3 } }));
    const { code, stderr } = await runReport(file, "--readme", readme, "--plots", folder);
    assert.equal(code, 1);
    assert.match(stderr, /Cannot report .*spec\.json: Cannot report figure by_category/);
    assert.equal(await Deno.readTextFile(readme), EMPTY);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("publish() keeps what parseRecord() reads", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const args = ["--threads", "2", "--prompts=/far/away/dev.jsonl", "--save", folder, "--json"];
    const figures = { prompts: 1 };
    const values = { json: true, save: folder };
    await publish({ bench: "spec", args, values, model: "/models/a.gguf", figures });
    const path = join(folder, "spec.json");
    const record = parseRecord(await Deno.readTextFile(path), path);
    assert.equal(record.command, "bench spec --threads 2 --prompts=dev.jsonl");
    assert.equal(record.model, "a.gguf");
    assert.deepEqual(record.figures, figures);
    assert.equal(record.machine.vcpus, navigator.hardwareConcurrency);
    assert.match(record.date, /^\d{4}-\d\d-\d\d$/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("shownCommand() drops folders and where the output goes", () => {
  const args = ["--save=x", "--json", "--prompts", "../a/b.jsonl", "--limit=3", "--save", "y"];
  assert.equal(shownCommand("bench spec", args), "bench spec --prompts b.jsonl --limit=3");
});

Deno.test("parseRecord() refuses what --save did not write", async () => {
  const record = await readFixture("engine");
  assert.throws(() => parseRecord("{", "a.json"), /Cannot report a\.json: .*JSON/);
  for (const name of ["bench", "command", "machine", "date", "commit", "figures", "model"]) {
    const text = JSON.stringify({ ...record, [name]: undefined });
    assert.throws(() => parseRecord(text, "a.json"), new RegExp(`${name} (is|are) missing`));
  }
});

Deno.test("replaceFigures() leaves all else as it is, and wants both comments once", () => {
  const once = replaceFigures(EMPTY, "new");
  assert.equal(once, EMPTY.replace("\nold\n", "\n\nnew\n\n"));
  assert.equal(replaceFigures(once, "new"), once);
  assert.throws(() => replaceFigures("no comments", "new"), TypeError);
  assert.throws(() => replaceFigures(EMPTY + EMPTY, "new"), TypeError);
  assert.throws(() => replaceFigures(EMPTY.split("\n").reverse().join("\n"), "new"), TypeError);
});

Deno.test("reportMarkdown() shows a peer's ratio, and refuses an unknown bench", async () => {
  const record = await readFixture("engine");
  const rates = { decode_tokens_per_second: 50, prompt_tokens_per_second: 200 };
  const peer = { name: "other", ...rates, batch_tokens_per_second: { 1: 50, 8: 90, 32: 100 } };
  const peer_ratio = {
    decode_tokens_per_second: 2,
    decode_tokens_per_second_low: 1.9,
    decode_tokens_per_second_high: 2.1,
    prompt_tokens_per_second: 3,
    batch_tokens_per_second: { 1: 2, 8: 4, 32: 5 },
  };
  const figures = { ...record.figures, peer, peer_ratio };
  const text = reportMarkdown([{ record: { ...record, figures }, plot: null }]);
  assert.match(text, /over other \| 2\.00x \(1\.90 \.\.\. 2\.10\); it does 50 tokens\/s/);
  assert.match(
    text,
    /8 \/ 32 sequences together, over other \| 4\.00x \/ 5\.00x;/,
  );
  const spec = await readFixture("spec");
  const shown = (peer: Record<string, unknown>) => {
    const more = { peer: { name: "other", ...peer }, peer_ratio: 3, step_micros: {} };
    const figures = { ...spec.figures, ...more, overhead_share: 0.05 };
    return reportMarkdown([{ record: { ...spec, figures }, plot: null }]);
  };
  assert.match(shown({ tokens_per_second: 70 }), /over other \| 3\.00x; it does 70 tokens\/s/);
  assert.match(shown({ tokens_per_second: 70 }), /and the draft head \| 5\.0 %/);
  const two = { plain_tokens_per_second: 60, lookup_tokens_per_second: 50 };
  assert.match(shown(two), /better of other's plain .* 3\.00x; it does 60 and 50 tokens\/s/);
  const stranger = { record: { ...record, bench: "toString" }, plot: null };
  assert.throws(() => reportMarkdown([stranger]), /Cannot report bench "toString"/);
});

Deno.test("charts are well-formed, in both colour schemes", async () => {
  for (const name of ["engine", "serve", "spec"]) {
    const { svg } = plotOf(await readFixture(name))!;
    assertWellFormed(svg);
    assert.match(svg, /prefers-color-scheme:dark/);
  }
  assert.equal(plotOf(await readFixture("verify")), null);
  const points = [{ tokens: 150_000, tokens_per_step: 1.9 }, { tokens: 6e5, tokens_per_step: 2.2 }];
  const series = [{ name: "a < b", points }, { name: "c", points }];
  const curve = learningCurve(JSON.stringify({ series }), "c.json");
  assertWellFormed(curve);
  assert.match(curve, /150k/);
  assert.match(curve, /a &lt; b/);
  assert.throws(() => learningCurve("{}", "c.json"), /Cannot plot c\.json/);
});

Deno.test("barChart() draws lengths in proportion", () => {
  const groups = [{ name: "a", values: [1] }, { name: "b", values: [3] }];
  const svg = barChart({ title: "t", xLabel: "x", groups, series: ["s"] });
  const bars = [...svg.matchAll(/class="c0" x="150" [^>]*width="([\d.]+)"/g)];
  const [a, b] = bars.map(([, width]) => Number(width));
  assert.ok(Math.abs(b / a - 3) < 0.01, `${a}, ${b}`);
  assert.throws(() => barChart({ title: "t", xLabel: "x", groups: [], series: ["s"] }), RangeError);
});

Deno.test("lineChart() puts doublings at even distances, and higher values higher", () => {
  const points = [1, 2, 4].map((x) => ({ x, y: x }));
  const chart = { title: "t", xLabel: "x", yLabel: "y", xScale: "log" as const };
  const svg = lineChart({ ...chart, series: [{ name: "s", points }] });
  const [a, b, c] = [...svg.matchAll(/<circle[^>]*cx="([\d.]+)" cy="([\d.]+)"/g)]
    .map(([, x, y]) => ({ x: Number(x), y: Number(y) }));
  assert.ok(Math.abs((c.x - b.x) - (b.x - a.x)) < 0.2);
  assert.ok(a.y > b.y && Math.abs((b.y - c.y) / (a.y - b.y) - 2) < 0.02);
  const five = Array.from({ length: 5 }, (_, index) => ({ name: `${index}`, points }));
  assert.throws(() => lineChart({ ...chart, series: five }), RangeError);
});
