/** The systemd units: verified by systemd itself, and exposed no more than they are today. */
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { shownScript } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";
import { must, ran } from "./scripts.ts";
import { debianTool } from "./tools.ts";

const FOLDER = join(ROOT, "deploy", "systemd");
const UNITS = ["redraft-gateway.service", "redraft-node@.service"];
/** Of 10, as `systemd-analyze security` counts: below 2.0 it says "OK". */
const EXPOSURE_MAX = 1.5;
const DENO = `"${Deno.execPath()}"`;
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
  Deno.test("units: the README's commands install them, under another root", async () => {
    const root = await Deno.makeTempDir();
    const shown = async (line: string, given: Record<string, string>) =>
      await must("bash", ["-c", await shownScript("deploy/README.md", line, given)]);
    try {
      for (const path of ["etc/systemd/system", "packages"]) {
        await Deno.mkdir(join(root, path), { recursive: true });
      }
      await shown(
        "deno task build && DENO_DIR=/opt/redraft/packages " +
          "deno cache gateway/main.ts gpu-node/main.ts",
        { "/opt/redraft": root, "deno task": `${DENO} task`, "deno cache": `${DENO} cache` },
      );
      await shown(
        "install -D -m 644 deploy/systemd/redraft.sysusers /etc/sysusers.d/redraft.conf " +
          "&& systemd-sysusers",
        { "/etc/": `${root}/etc/`, "&& systemd-sysusers": `&& systemd-sysusers --root=${root}` },
      );
      assert.match(await Deno.readTextFile(join(root, "etc", "passwd")), /^redraft:/m);
      const running = "systemctl daemon-reload"; // No systemd runs under that root.
      await shown(
        "cp deploy/systemd/*.service /etc/systemd/system/ && systemctl daemon-reload",
        { "/etc/": `${root}/etc/`, [running]: "true" },
      );
      await shown(
        "systemctl enable --now redraft-node@1 redraft-gateway",
        { "systemctl enable --now": `systemctl --root=${root} enable` },
      );
      await Deno.lstat(
        join(root, "etc/systemd/system/multi-user.target.wants/redraft-node@1.service"),
      );
      const cached = join(root, "packages", "npm");
      assert.ok((await Deno.stat(cached)).isDirectory);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  });

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
