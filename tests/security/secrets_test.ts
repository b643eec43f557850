/** What must not be told, and what must not be changed on its way here. */
import assert from "node:assert/strict";
import { withGateway } from "../support/scripted_gateway.ts";
import { AS_A, attack, KEY_A, KEY_B, KEYED } from "./attack.ts";
import { FALSE_WORD, FalseRegistry } from "./false_registry.ts";
import { type ShippedCommand, shippedCommands } from "./shipped_commands.ts";

const ROOT = new URL("../../", import.meta.url);

attack(9, async () => {
  const canary = "canary-7f3a";
  await withGateway(async ({ chat, post, url, log, node }) => {
    const messages = [{ role: "user", content: canary }];
    const headers = {
      ...AS_A.headers,
      "cookie": `session=${canary}`,
      "x-api-key": canary,
      "traceparent": `${canary}-${canary}`,
      "x-session-id": canary,
    };
    const answers: string[] = [];
    const ask = async (response: Promise<Response>) => answers.push(await (await response).text());
    await ask(chat({ messages, user: canary, metadata: { a: canary } }, { headers }));
    await ask(chat({ messages, stream: true }, { headers }));
    await ask(chat({ messages }, { headers: { authorization: `Bearer ${canary}-key` } }));
    await ask(post("/v1/responses", { model: "scripted", input: canary }, { headers }));
    await ask(chat({ messages, tools: [{ type: "function", function: { name: canary } }] }, AS_A));
    await ask(fetch(`${url}/v1/models?key=${KEY_B}`, AS_A));
    node.script = (stream) => stream.fail("engine", false);
    await ask(chat({ messages }, AS_A));
    node.script = () => {
      throw new Error(`script ${canary}`);
    };
    const sinks = [
      ...log.lines,
      await (await fetch(`${url}/metrics`, AS_A)).text(),
      await (await fetch(`${url}/readyz`)).text(),
      await (await fetch(`${url}/v1/fleet`, AS_A)).text(),
    ].join("\n");
    assert.ok(log.lines.length >= 6, "there is a log to look at");
    assert.doesNotMatch(sinks, /canary|sk-alice|sk-bobby/);
    for (const answer of answers) {
      assert.ok(!answer.includes(KEY_A) && !answer.includes(KEY_B));
      assert.doesNotMatch(answer, /at (file|async|Object)|\.ts:\d+/, "no stack");
    }
  }, { ...KEYED, args: ["--log-level", "debug"] });
});

attack(10, async () => {
  const lock = JSON.parse(await Deno.readTextFile(new URL("deno.lock", ROOT)));
  const packages = Object.entries<{ integrity?: string; scripts?: boolean }>(lock.npm);
  assert.ok(packages.length > 5);
  for (const [name, { integrity, scripts }] of packages) {
    assert.match(
      integrity ?? "",
      /^sha512-[A-Za-z0-9+/]{86}==$/,
      `${name} is pinned by its digest`,
    );
    assert.ok(scripts !== true, `${name} runs no script of its own`);
  }
  assert.equal(lock.remote, undefined, "no code comes from a bare URL");
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  for (const [name, target] of Object.entries<string>(config.imports)) {
    assert.match(target, /^npm:/, `${name} is in the lock file's reach`);
  }
  assert.ok(!JSON.stringify(config).includes("allow-scripts"));
  // What is fetched beside npm is of one version, each.
  const registry = await Deno.readTextFile(new URL("tests/clients/registry.ts", ROOT));
  const scripts = ["javascript_clients.ts", "javascript_tools.ts"].map((name) =>
    Deno.readTextFileSync(new URL(`tests/clients/${name}`, ROOT))
  );
  for (const [, version] of scripts.join("\n").matchAll(/"npm:@?[^"@]+(@[^"/]*)?[^"]*"/g)) {
    assert.match(version ?? "", /^@\d+\.\d+\.\d+$/);
  }
  const requirements = [...registry.matchAll(/: "([a-z-]+)==(\d+[\d.]*)",/g)];
  assert.equal(requirements.length, 4, "each Python client is pinned");
  checkShipped(await shippedCommands());
  await attackByRegistry();
});

/** What is built for others is built of what is locked, and fetches nothing once it runs. */
function checkShipped(commands: ShippedCommand[]): void {
  const kinds = { fetches: 0, starts: 0, bases: 0, wheels: 0 };
  for (const { path, words, isStart } of commands) {
    const says = (flag: RegExp) => assert.match(words, flag, path);
    assert.doesNotMatch(words, /allow-scripts|--no-verify|--trusted-host/, path);
    if (/pip install/.test(words)) ++kinds.wheels, says(/ --require-hashes /);
    else if (/^(ARG \w+=|FROM [^ ]*\/)/.test(words)) ++kinds.bases, says(/@sha256:[0-9a-f]{64}$/);
    else if (/ (cache|bundle) /.test(words)) ++kinds.fetches, says(/ --frozen /);
    else if (isStart) ++kinds.starts, says(/ (--cached-only|--no-remote --no-npm) /);
  }
  assert.ok(kinds.fetches >= 4 && kinds.starts >= 8, JSON.stringify(kinds));
  assert.ok(kinds.bases >= 3 && kinds.wheels >= 3, JSON.stringify(kinds));
}

/** A registry that was taken over gives other packages than those we locked, and new ones. */
async function attackByRegistry(): Promise<void> {
  const locked = 'import "hono";';
  const strange = 'import "npm:left-pad@1";';
  for (const hidesDigests of [false, true]) {
    await using registry = new FalseRegistry({ ageDays: 30, hidesDigests });
    // What the lock file names is another package: refused by its digest, whatever is said of it.
    for (const command of [["run", "-A", "--frozen"], ["run", "-A"], ["cache", "--frozen"]]) {
      const { code, text } = await registry.deno(command, locked);
      assert.notEqual(code, 0, text);
      assert.match(text, /checksum did not match/, command.join(" "));
      assert.ok(!text.includes(FALSE_WORD), "it was run");
    }
    // What the lock file does not name is refused where it is frozen.
    const frozen = await registry.deno(["run", "-A", "--frozen"], strange);
    assert.notEqual(frozen.code, 0);
    assert.match(frozen.text, /lockfile is out of date/);
    assert.ok(registry.asked.some((path) => path.endsWith(".tgz")), "it was asked, and refused");
    // Nothing is asked of anyone by what is started from its cache.
    const before = registry.asked.length;
    assert.notEqual((await registry.deno(["run", "-A", "--cached-only"], strange)).code, 0);
    assert.equal(registry.asked.length, before);
    assert.ok(!registry.isScriptRun);
  }
  // Where someone takes up a new package, one of today is not had yet.
  await using today = new FalseRegistry({ ageDays: 0.5 });
  const { code, text } = await today.deno(["run", "-A"], strange);
  assert.notEqual(code, 0, text);
  assert.match(text, /minimum dependency/);
  // And an older one is run as it is imported, but never by its installation.
  await using older = new FalseRegistry({ ageDays: 30 });
  for (
    const command of [["install", "--entrypoint"], ["run", "-A"], [
      "run",
      "-A",
      "--node-modules-dir=auto",
    ]]
  ) {
    const { text } = await older.deno([...command, "--no-lock"], strange);
    assert.ok(command[0] === "install" || text.includes(FALSE_WORD), `${command}: ${text}`);
    assert.ok(!older.isScriptRun, command.join(" "));
  }
  // Its script is one that runs, where someone lets it: or this would have shown nothing.
  const scripts = ["run", "-A", "--no-lock", "--node-modules-dir=auto", "--allow-scripts"];
  await older.deno(scripts, strange);
  assert.ok(older.isScriptRun);
}
