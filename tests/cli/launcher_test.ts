/** `bin/redraft`: linked and completed as the README says, then called from another folder. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { shownScript } from "../docs/shown.ts";
import { type Ran, ran } from "../deploy/scripts.ts";
import { ROOT } from "../support/source_files.ts";

const COMPLETIONS = ".local/share/bash-completion/completions";
const INSTALL = [
  "mkdir -p ~/.local/bin ~/.local/share/bash-completion/completions",
  'ln -sf "$PWD/bin/redraft" ~/.local/bin/redraft',
  "redraft completion bash >~/.local/share/bash-completion/completions/redraft",
];

/** A home of its own, where the README's lines have run. */
async function withHome(
  act: (home: string, bash: (text: string) => Promise<Ran>) => Promise<void>,
) {
  const home = await Deno.makeTempDir();
  const PATH = `${home}/.local/bin:${Deno.env.get("PATH")}`;
  // Packages are where they were: the home is new, not the machine.
  const DENO_DIR = Deno.env.get("DENO_DIR") ?? join(Deno.env.get("HOME") ?? "/", ".cache", "deno");
  const env = { HOME: home, PATH, DENO: Deno.execPath(), DENO_DIR, NO_COLOR: "1" };
  const bash = (text: string) => ran("bash", ["--norc", "-c", text], env);
  try {
    for (const line of INSTALL) {
      const { code, text } = await bash(await shownScript("README.md", line));
      assert.equal(code, 0, text);
    }
    await act(home, bash);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("redraft runs in any folder, by a link to it, and reads what is there", async () => {
  await withHome(async (home, bash) => {
    const key = await bash(
      `cd ${home} && redraft config key me 2>/dev/null >key.json && cat key.json`,
    );
    assert.match(key.text, /"sha256":"[0-9a-f]{64}"/);
    await bash(`cd ${home} && echo "keys: [$(cat key.json)]" >own.yaml`);
    const checked = await bash(`cd ${home} && redraft config check own.yaml`);
    assert.equal(checked.code, 0, checked.text);
    assert.match(checked.text, /own\.yaml: 1 keys, listens on 127\.0\.0\.1/);
    const wrong = await bash("cd / && redraft strat");
    assert.equal(wrong.code, 2);
    assert.match(wrong.text, /Unknown command "strat": start, serve, /);
  });
});

Deno.test("what the README has bash load completes that very word", async () => {
  await withHome(async (home, bash) => {
    const { code, text } = await bash(
      `. ${join(home, COMPLETIONS, "redraft")} && complete -p redraft &&
      COMP_WORDS=(redraft st); COMP_CWORD=1; _redraft; echo "\${COMPREPLY[@]}"`,
    );
    assert.equal(code, 0, text);
    assert.match(text, /^complete -o default -F _redraft redraft\nstart$/m);
  });
});

Deno.test("without Deno and npx redraft says what to install", async () => {
  const folder = await Deno.makeTempDir();
  for (const name of ["readlink", "dirname"]) {
    const { text } = await ran("sh", ["-c", `command -v ${name}`]);
    await Deno.symlink(text.trim(), join(folder, name));
  }
  const { code, text } = await ran("/bin/sh", [join(ROOT, "bin", "redraft"), "top"], {
    PATH: folder,
    DENO: "",
  });
  assert.equal(code, 1);
  assert.match(text, /Cannot find npx: install Node\.js >= 20, or name a Deno [\d.]+ in DENO/);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("it fetches the Deno that the README names", async () => {
  const launcher = await Deno.readTextFile(join(ROOT, "bin", "redraft"));
  const readme = await Deno.readTextFile(join(ROOT, "README.md"));
  const version = /^VERSION=(.+)$/m.exec(launcher)![1]!;
  assert.ok(readme.includes(`npx -y deno@${version} task start`));
});
