/** deploy/README.md, "One machine", from the first command to the last, as it is shown there: a
 * gateway, a node, Redis and nginx as processes of this machine. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { shownScript, shownWords } from "../docs/shown.ts";
import { must, ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const README = "deploy/README.md";
const TOOLS = [
  await debianTool("nginx", "nginx-light"),
  await debianTool("redis-server"),
  await debianTool("curl"),
];
const PORTS_FIRST = 20_000;
const PORTS_COUNT = 12_000;

async function shown(line: string, env: Record<string, string>, ...more: string[]) {
  const { program, args } = await shownWords(README, line);
  return await must(program, [...args, ...more], env);
}

if (TOOLS.every(Boolean)) {
  Deno.test("one machine: up, asked, rolled, rotated, down", async (t) => {
    const state = await Deno.makeTempDir();
    await Deno.chmod(state, 0o755); // nginx's workers are nobody.
    const env = { REDRAFT_STATE: state, REDRAFT_NODE_FLAGS: "--pages-max=256" };
    const port = String(PORTS_FIRST + Deno.pid % PORTS_COUNT);
    const small = ["--port", port, "--gateways", "1", "--nodes", "1"];
    const readKey = () => Deno.readTextFile(join(state, "key"));
    try {
      await t.step("up.sh", async () => {
        assert.match(
          await shown("deploy/up.sh --check", env, ...small),
          /Nothing would be refused/,
        );
        assert.match(await shown("deploy/up.sh", env, ...small), /Up: http:\/\/127\.0\.0\.1:/);
      });
      await t.step("smoke.sh, told nothing and told all", async () => {
        assert.match(await shown("deploy/smoke.sh", env), /answered in \d+ events/);
        const line = "REDRAFT_KEY=$(cat deploy/secrets/key) " +
          "deploy/smoke.sh http://127.0.0.1:8000";
        const given = { "deploy/secrets/key": `${state}/key`, "8000": port };
        const text = await must("bash", ["-c", await shownScript(README, line, given)]);
        assert.match(text, /answered in \d+ events/);
      });
      await t.step("roll.sh, one and all", async () => {
        assert.match(await shown("deploy/roll.sh node1", env), /node1 rolled/);
        const rolled = (await shown("deploy/roll.sh", env, "--upgrade")).match(/rolled in/g);
        assert.equal(rolled?.length, 4);
      });
      await t.step("rotate.sh", async () => {
        const old = await readKey();
        await shown("deploy/rotate.sh key", env);
        assert.notEqual(await readKey(), old);
        await shown("deploy/rotate.sh retire-keys", env);
        await shown("deploy/rotate.sh token", env);
        assert.match(await shown("deploy/smoke.sh", env), /answered in/);
        const refused = await ran(join("deploy", "smoke.sh"), [], { ...env, REDRAFT_KEY: old });
        assert.equal(refused.code, 1, refused.text);
      });
    } finally {
      await shown("deploy/down.sh", env);
      await Deno.remove(state, { recursive: true });
    }
  });
}
