/** The systemd units: verified by systemd itself, and exposed no more than they are today. */
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { ROOT } from "../support/source_files.ts";
import { ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const FOLDER = join(ROOT, "deploy", "systemd");
const UNITS = ["redraft-gateway.service", "redraft-node@.service"];
/** Of 10, as `systemd-analyze security` counts: below 2.0 it says "OK". */
const EXPOSURE_MAX = 1.5;
const ANALYZE = await debianTool("systemd-analyze", "systemd");

async function readUnit(name: string): Promise<string> {
  return await Deno.readTextFile(join(FOLDER, name));
}

Deno.test("units: the flags that they give are flags that the programs know", async () => {
  for (const name of UNITS) {
    const [, command] = /^ExecStart=((?:.*\\\n)*.*)$/m.exec(await readUnit(name))!;
    const words = command!.replaceAll("\\\n", " ").split(/\s+/);
    const at = words.findIndex((word) => word.endsWith("main.ts"));
    const { text } = await ran(Deno.execPath(), ["run", "-A", join(ROOT, words[at]!), "--help"]);
    for (const word of words.slice(at + 1).filter((one) => one.startsWith("--"))) {
      assert.ok(text.includes(word.split("=")[0]!), `${name}: ${word}`);
    }
    assert.ok(!words.includes("-A") && !words.includes("--allow-all"), name);
  }
});

if (ANALYZE) {
  Deno.test("units: systemd-analyze verify finds nothing", async () => {
    const folder = await Deno.makeTempDir();
    try {
      // Where they are installed there is a deno; here the one that runs this.
      for (const name of UNITS) {
        const text = (await readUnit(name)).replaceAll("/usr/local/bin/deno", Deno.execPath());
        await Deno.writeTextFile(join(folder, basename(name)), text);
      }
      const paths = UNITS.map((name) => join(folder, name));
      const { code, text } = await ran(ANALYZE, ["verify", "--man=no", ...paths]);
      assert.equal(text.trim(), "");
      assert.equal(code, 0);
      await Deno.writeTextFile(paths[0]!, `${await readUnit(UNITS[0]!)}\nNonsense=1\n`);
      assert.match((await ran(ANALYZE, ["verify", "--man=no", paths[0]!])).text, /Nonsense/);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });

  for (const name of UNITS) {
    Deno.test(`units: systemd-analyze security gives ${name} at most ${EXPOSURE_MAX}`, async () => {
      const { text } = await ran(ANALYZE, ["security", "--offline=true", join(FOLDER, name)]);
      const exposure = Number(/exposure level for \S+: ([0-9.]+)/.exec(text)?.[1] ?? NaN);
      assert.ok(exposure <= EXPOSURE_MAX, text.slice(-300));
    });
  }
}
