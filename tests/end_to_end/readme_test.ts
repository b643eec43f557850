/** The README's first commands, with what it says that they print. @module */
import assert from "node:assert/strict";
import { readExamples } from "../docs/examples.ts";
import { readPage, shownScript, shownWords } from "../docs/shown.ts";
import { ROOT } from "../support/source_files.ts";
import { runOrThrow } from "../../tools/process.ts";

const START = "npx -y deno@2.9.6 task start";
const CHAT = 'echo "Write a haiku about rivers." | npx -y deno@2.9.6 task chat';
const START_MS_MAX = 180_000;

/** What the README shows below a command's prompt. */
async function outputOf(line: string): Promise<string> {
  const blocks = readExamples(await readPage("README.md")).map(({ text }) => text);
  const block = blocks.find((text) => text.startsWith(`$ ${line}\n`));
  assert.ok(block, `no output of ${line}`);
  return block.slice(line.length + 3);
}

/** Figures depend on the machine. */
const masked = (line: string) => line.replaceAll(/\d+(\.\d+)?/g, "N");

function freePort(): string {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return String(listener.addr.port);
}

Deno.test("README: start says what to try, chat answers as shown", async (t) => {
  const port = freePort();
  const { program, args } = await shownWords("README.md", START);
  const server = new Deno.Command(program, {
    args: [...args, `--port=${port}`],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const timer = setTimeout(() => server.kill("SIGKILL"), START_MS_MAX);
  const pieces = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    await t.step("start", async () => {
      // Off the default port the hint at `chat` names the address too.
      const expected = (await outputOf(START)).replaceAll(":8000", `:${port}`)
        .replace(/task chat$/m, `task chat --url http://127.0.0.1:${port}`);
      let said = "";
      while (said.length < expected.length) {
        const { value, done } = await pieces.read();
        assert.ok(!done, said);
        said += value;
      }
      assert.equal(said, expected);
    });
    await t.step("chat", async () => {
      const given = { "task chat": `task --quiet chat --url http://127.0.0.1:${port}` };
      const script = await shownScript("README.md", CHAT, given);
      const { stdout } = await runOrThrow("bash", ["-c", script], { cwd: ROOT });
      const [answer, figures] = stdout.trim().split("\n");
      const [shownAnswer, shownFigures] = (await outputOf(CHAT)).trim().split("\n");
      assert.equal(answer, shownAnswer);
      assert.equal(masked(figures!), masked(shownFigures!));
    });
  } finally {
    clearTimeout(timer);
    server.kill("SIGTERM");
    await server.status;
    await pieces.cancel();
  }
});
