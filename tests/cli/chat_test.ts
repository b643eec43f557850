/** `redraft chat` through pipes and in a terminal, before a gateway. */
import assert from "node:assert/strict";
import { runPiped, Terminal } from "../support/command.ts";
import { withGateway } from "../support/scripted_gateway.ts";
import type { ScriptedStream } from "../support/scripted_node.ts";

const KEY = "sk-chat-0123456789";

/** Says back the last message's first line, two of its bytes drafted. */
function echo(stream: ScriptedStream): void {
  const message = stream.promptText.trim().split("user: ").at(-1)!;
  stream.text(`[${message.replaceAll("\n", "/")}]`);
  stream.finish();
}

Deno.test("chat takes a pipe, and leaves nothing in it that a log cannot take", async () => {
  await withGateway(async ({ url, node }) => {
    node.script = echo;
    const input = 'one\n/stats\ntwo \\\nthree\n"""four\n\nfive"""\n/nothing\n/clear\nlast';
    const { code, stdout, stderr } = await runPiped(["chat", "--url", url], input);
    assert.equal(stderr, "");
    assert.equal(code, 0);
    assert.match(
      stdout,
      /^\[one\]\n\d+ tokens, [\d.]+ a step, \d+ tokens\/s, first after \d+ ms\n/,
    );
    assert.match(stdout, /\n1 answer: 5 tokens, .*\n4 of 8 draft tokens accepted\n/);
    assert.match(stdout, /\[two \/three\]\n[\s\S]*\[four\/\/five\]\n/);
    assert.match(stdout, /Unknown command \/nothing; \/help lists them\n\[last\]/);
    // deno-lint-ignore no-control-regex
    assert.doesNotMatch(stdout, /[\x00-\x09\x0b-\x1f]|> /);
    const prompts = node.submits.map(({ tokens }) =>
      new TextDecoder().decode(Uint8Array.from(tokens))
    );
    assert.equal(prompts.length, 4);
    assert.match(prompts[1]!, /user: one\nassistant: \[one\]\nuser: two \nthree\n/);
    assert.equal(prompts[3], "user: last\n");
  });
});

Deno.test("an answer that the gateway held has no speed", async () => {
  await withGateway(async ({ url, node }) => {
    node.script = echo;
    const { stdout } = await runPiped(["chat", "--url", url], "one\n/clear\none\n/stats\n");
    assert.match(
      stdout,
      /^\[one\]\n5 tokens, [^]*\n\[one\]\nheld from before: nothing was generated\n/,
    );
    assert.match(stdout, /\n1 answer: 5 tokens, /);
    assert.equal(node.submits.length, 1);
  });
});

Deno.test("what would move a terminal's cursor is shown, not done", async () => {
  await withGateway(async ({ url, node }) => {
    node.script = (stream) => {
      stream.text("a\x1b]0;owned\x07b\x1b[2Jc\x9bd\r");
      stream.finish();
    };
    const { stdout } = await runPiped(["chat", "--url", url], "hi\n");
    assert.match(stdout, /^a\ufffd\]0;owned\ufffdb\ufffd\[2Jc\ufffdd\ufffd\n/);
  });
});

Deno.test("chat names what is wrong: a key, an address, an option, a node that fails", async () => {
  await withGateway(async ({ url, node }) => {
    const without = await runPiped(["chat", "--url", url], "hi\n");
    assert.equal(without.code, 1);
    assert.match(without.stderr, /HTTP 401: .*\(REDRAFT_API_KEY holds the key\)/);
    const env = { REDRAFT_API_KEY: KEY };
    node.script = (stream) => stream.fail("internal", false);
    const failed = await runPiped(["chat", "--url", url], "hi\n", env);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /HTTP 502/);
    node.script = echo;
    const good = await runPiped(["chat", "--url", `${url}/v1/`], "hi\n", env);
    assert.equal(good.code, 0);
    assert.match(good.stdout, /^\[hi\]/);
  }, { env: { REDRAFT_API_KEYS: KEY } });
  const away = await runPiped(["chat", "--url", "http://127.0.0.1:1"], "hi\n");
  assert.equal(away.code, 1);
  assert.match(away.stderr, /^Cannot reach a gateway at http:\/\/127.0.0.1:1: /);
  const wrong = await runPiped(["chat", "--url", "ftp://x"]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /^Option '--url' must be an http address, not "ftp:\/\/x"/);
});

Deno.test("in a terminal: colours by origin, a history by arrow keys, Ctrl-C, Ctrl-D", async () => {
  await withGateway(async ({ url, node }) => {
    node.script = (stream) => {
      // The first two of four tokens were drafted and accepted.
      stream.tokens([...new TextEncoder().encode("abcd")], {
        steps: [{ tokenCount: 4, draftedCount: 4, acceptedCount: 2, tree: [] }],
      });
      stream.finish();
    };
    await using terminal = new Terminal(["chat", "--url", url]);
    await terminal.see(/\/help says what else there is[\s\S]*> /);
    await terminal.type("first\r");
    // deno-lint-ignore no-control-regex
    await terminal.see(/\x1b\[32ma\x1b\[0m\x1b\[32mb\x1b\[0mcd\r\n/);
    await terminal.see(/> /);
    await terminal.type("second\r");
    await terminal.see(/cd\r\n[\s\S]*> /);
    await terminal.type("\x1b[A\x1b[A again\r");
    await terminal.see(/cd\r\n[\s\S]*> /);
    node.script = (stream) => stream.text("endless"); // And no more.
    await terminal.type("third\r");
    await terminal.see(/dless/);
    await terminal.type("\x03");
    await terminal.see(/\(stopped\)[\s\S]*> /);
    await terminal.type("/sta\t\r");
    await terminal.see(/3 answers: 12 tokens/);
    await terminal.type("\x04");
    assert.equal(await terminal.end(), 0);
    const asked = node.submits.map(({ tokens }) =>
      new TextDecoder().decode(Uint8Array.from(tokens)).trim().split("user: ").at(-1)
    );
    assert.deepEqual(asked, ["first", "second", "first again", "third"]);
    assert.equal(node.cancels.length, 1);
  });
});
