/** Completions: made of the tables that are parsed, and right where a shell runs them. */
import assert from "node:assert/strict";
import { runPiped } from "../support/command.ts";

const scripts = new Map<string, string>();

async function scriptOf(shell: string): Promise<string> {
  if (!scripts.has(shell)) {
    const { code, stdout, stderr } = await runPiped(["completion", shell]);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    scripts.set(shell, stdout);
  }
  return scripts.get(shell)!;
}

/** What bash offers after these words; the last is being typed. */
async function offered(words: string[]): Promise<string[]> {
  const line = words.map((word) => `'${word}'`).join(" ");
  const program = `${await scriptOf("bash")}
COMP_WORDS=(redraft ${line}); COMP_CWORD=${words.length}; _redraft
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, success } = await new Deno.Command("bash", {
    args: ["--norc", "-c", program],
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  assert.ok(success, text(stderr));
  return text(stdout).split("\n").filter(Boolean);
}

Deno.test("bash completes commands, nested ones, options and words", async () => {
  assert.deepEqual(await offered(["co"]), ["config", "completion"]);
  assert.deepEqual(await offered(["bench", "lo"]), ["logits"]);
  assert.deepEqual(await offered(["bench", "serve", "--seq"]), ["--sequences"]);
  assert.deepEqual(await offered(["serve", "--seq"]), []);
  assert.deepEqual(await offered(["chat", "--te"]), ["--temperature"]);
  assert.deepEqual(await offered(["gateway", "--no-p"]), ["--no-playground"]);
  assert.deepEqual(await offered(["config", ""]), ["check", "key", "--help"]);
  assert.deepEqual(await offered(["completion", "z"]), ["zsh"]);
  // A value is a file's name or nothing that is known: left to bash.
  assert.deepEqual(await offered(["serve", "--config", ""]), []);
});

Deno.test("zsh and fish get the same words, with what the help says of them", async () => {
  const bash = await scriptOf("bash");
  const zsh = await scriptOf("zsh");
  const fish = await scriptOf("fish");
  assert.match(zsh, /'serve'\) _arguments .*'--port\[the gateway'\\''s port .*\]:value:_files'/);
  assert.match(fish, /'__redraft_at serve' -l port -r -F -d 'the gateway'\\''s port /);
  assert.match(fish, /'__redraft_in bench' -a serve -d '/);
  for (const [, name] of bash.matchAll(/(--[a-z-]+)/g)) {
    assert.ok(zsh.includes(`'${name}[`), `zsh: ${name}`);
    assert.ok(fish.includes(` -l ${name!.slice(2)} `), `fish: ${name}`);
  }
});

Deno.test("another shell is refused by name", async () => {
  const { code, stderr } = await runPiped(["completion", "tcsh"]);
  assert.equal(code, 2);
  assert.match(stderr, /^Name a shell: bash, zsh, fish/);
});
