/** What must not be told, and what must not be changed on its way here. */
import assert from "node:assert/strict";
import { withGateway } from "../support/scripted_gateway.ts";
import { AS_A, attack, KEY_A, KEY_B, KEYED } from "./attack.ts";

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
});
