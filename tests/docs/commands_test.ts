/** What the pages name in passing, held against what parses it: commands and their options,
 * scripts, variables, metrics. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Command, optionsOf } from "../../cli/options.ts";
import { ran } from "../deploy/scripts.ts";
import { Served } from "../support/served.ts";
import { readSourceFiles, ROOT } from "../support/source_files.ts";
import { commandsOf, inlineCode, readExamples } from "./examples.ts";
import { PAGES, readPage } from "./shown.ts";

const TASKS: Record<string, string> = JSON.parse(await readPage("deno.json")).tasks;
const NAMES = Object.keys(TASKS);
/** In a script of its own a task has `--help`; what that lists is what it parses. */
const HELP_OPTION = /--([a-z][a-z-]*)/g;

const helps = new Map<string, Promise<string>>();

/** What it says to `--help`, asked once. */
function helpOf(program: string, ...args: string[]): Promise<string> {
  const ask = async () => {
    const { code, text } = await ran(program, [...args, "--help"], { NO_COLOR: "1" });
    assert.equal(code, 0, text);
    return text;
  };
  const command = [program, ...args].join(" ");
  return helps.getOrInsertComputed(command, ask);
}

/** The options that a task knows, its own words taken from `words`. */
async function knownOptions(words: string[]): Promise<Set<string>> {
  const [deno, ...own] = TASKS[words.shift()!]!.split(" ");
  assert.equal(deno, "deno");
  if (own[0] !== "run") return new Set(); // Of Deno itself, with all that they take.
  if (own[2] !== "mod.ts") {
    const text = await helpOf(Deno.execPath(), ...own);
    return new Set([...text.matchAll(HELP_OPTION)].map(([, name]) => name!));
  }
  const folder = own[3] === "completion" ? "options" : own[3];
  let { command }: { command: Command } = await import(`../../cli/${folder}.ts`);
  while (command?.commands) {
    const name = words.shift() ?? "";
    assert.ok(Object.hasOwn(command.commands, name), `no such command: ${own[3]} ${name}`);
    ({ command } = await command.commands[name]!());
  }
  return new Set(command === undefined ? [] : Object.keys(await optionsOf(command)));
}

const TRAINER = await Deno.readTextFile(join(ROOT, "drafter", "redraft_drafter", "cli.py"));

/** @param line What follows `task`. */
async function expectCommand(line: string, where: string): Promise<void> {
  const words = line.split(/\s+/);
  assert.ok(NAMES.includes(words[0]!), `${where}: no task ${words[0]}`);
  const known = await knownOptions(words);
  const split = words.includes("--") ? words.indexOf("--") : words.length;
  for (const [i, word] of words.entries()) {
    if (/^(tests|bench|deploy|tools)\//.test(word)) await Deno.stat(join(ROOT, word));
    const name = /^--([a-z][a-z-]*)/.exec(word)?.[1];
    if (name === undefined || name === "help") continue;
    const isKnown = i < split ? known.has(name) : TRAINER.includes(`"--${name}"`);
    assert.ok(isKnown, `${where}: \`${line}\` has no --${name}`);
  }
}

/** What follows `task` in a command, or nothing where it is none. */
function taskOf(words: string): string | undefined {
  const spelled = /(?:^|\s)(?:npx -y deno@2\.9\.6 |deno )?task ((?:--quiet )?[a-z:]+\b.*)$/;
  const named = spelled.exec(words)?.[1];
  if (named !== undefined) return named;
  const [name, next] = words.split(" ");
  return NAMES.includes(name!) && next !== undefined && name !== "node" ? words : undefined;
}

Deno.test("every command that the pages name is one, with options that it knows", async () => {
  let count = 0;
  for (const page of PAGES) {
    const text = await readPage(page);
    const shown = readExamples(text).filter(({ language }) => /sh|console/.test(language));
    for (const words of [...shown.flatMap(commandsOf), ...inlineCode(text)]) {
      const line = taskOf(words);
      if (line === undefined) continue;
      await expectCommand(line, page);
      ++count;
    }
  }
  assert.ok(count > 40, `${count} commands`);
});

Deno.test("a command that is none is found, and an option that it lacks", async () => {
  await assert.rejects(expectCommand("strat --port 1", "x"), /no task strat/);
  await assert.rejects(expectCommand("start --prot 1", "x"), /no --prot/);
  await assert.rejects(expectCommand("bench sepc", "x"), /no such command: bench sepc/);
  await assert.rejects(expectCommand("bench spec --prompt x", "x"), /no --prompt/);
  await assert.rejects(expectCommand("train -- --outt x", "x"), /no --outt/);
  await assert.rejects(expectCommand("test --olny x", "x"), /no --olny/);
  assert.equal(taskOf("npx -y deno@2.9.6 task chat"), "chat");
});

Deno.test("every task but tidy answers --help, and does nothing else", async () => {
  for (const name of NAMES.filter((one) => one !== "tidy")) {
    const [deno, ...own] = TASKS[name]!.split(" ");
    assert.equal(deno, "deno", name);
    assert.match(await helpOf(Deno.execPath(), ...own), /deno task|redraft|deploy/, name);
  }
});

Deno.test("every option that the pages name alone is an option of something", async () => {
  const known = new Set<string>();
  for (const name of ["serve", "gateway", "node", "verify", "train", "plan", "chat", "bench"]) {
    const task = name === "serve" ? "start" : name;
    const more = name === "bench" ? ["spec"] : [];
    for (const option of await knownOptions([task, ...more])) known.add(option);
  }
  const texts = await Promise.all([
    helpOf(join(ROOT, "deploy", "up.sh")),
    helpOf(join(ROOT, "deploy", "roll.sh")),
    helpOf(join(ROOT, "deploy", "test_namespaces.sh")),
    helpOf(Deno.execPath(), "run", "-A", "tools/test.ts"),
    helpOf(Deno.execPath(), "run", "-A", "cli/build_cuda.ts"),
    helpOf(Deno.execPath(), "run", "-A", "tests/clients/table.ts"),
    TRAINER,
  ]);
  for (const [, name] of texts.join("\n").matchAll(HELP_OPTION)) known.add(name!);
  for (const page of PAGES) {
    for (const words of inlineCode(await readPage(page))) {
      const name = /^--([a-z][a-z-]*)/.exec(words)?.[1];
      if (name === undefined || name === "help" || name.startsWith("allow-")) continue; // Deno's.
      assert.ok(known.has(name), `${page}: nothing has --${name}`);
    }
  }
});

Deno.test("every variable that the pages name is read by something", async () => {
  const kinds = [".ts", ".sh", ".cc", ".h", ".py", ".yaml", ".service"];
  const deploy = await Promise.all(
    ["compose.yaml", "systemd/redraft-gateway.service"].map((name) => readPage(`deploy/${name}`)),
  );
  // Deno itself and the OpenTelemetry in it read some; served_test.ts sets them.
  const sources = readSourceFiles(kinds).filter(({ path }) => !path.startsWith("tests/docs/"))
    .map(({ text }) => text).concat(deploy).join("\n");
  for (const page of PAGES) {
    for (const words of inlineCode(await readPage(page))) {
      const name = /^((?:REDRAFT|OTEL|HF|GRAFANA|DENO)_[A-Z_]+)\b/.exec(words)?.[1];
      if (name !== undefined) assert.ok(sources.includes(name), `${page}: nothing reads ${name}`);
    }
  }
});

Deno.test("every metric that the pages name is given by a gateway or a node", async () => {
  await using served = await Served.start();
  const body = { model: served.model, prompt: "1, 2, 3,", max_tokens: 16 };
  await (await served.post("/v1/completions", body)).body?.cancel();
  const given = [...await served.nodeMetrics(), ...await served.gatewayMetrics()].join("\n");
  let count = 0;
  for (const page of PAGES) {
    for (const words of inlineCode(await readPage(page))) {
      if (!/^(vllm:|redraft_|gen_ai_)[a-z_]+$/.test(words) || words.endsWith(".h")) continue;
      if (!/_(total|seconds|perc|waiting|ready|size|active|bytes)$/.test(words)) continue;
      ++count;
      const isShared = words === "redraft_gateway_store_ready"; // With a Redis alone.
      assert.ok(isShared || given.includes(words), `${page}: no metric ${words}`);
    }
  }
  assert.ok(count >= 10, `${count} metrics`);
});
