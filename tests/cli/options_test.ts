import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { parseOptions, realNumber, UsageError, wholeNumber } from "../../cli/options.ts";

const MOD = fileURLToPath(new URL("../../mod.ts", import.meta.url));

async function redraft(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MOD, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("parseOptions() names what it does not know", () => {
  const parse = (args: string[]) => parseOptions(args, { port: { type: "string" } }, 1);
  assert.deepEqual(parse(["--port", "1", "x"]).positionals, ["x"]);
  assert.throws(() => parse(["--prot", "1"]), { name: "UsageError", message: /'--prot'/ });
  assert.throws(() => parse(["--port"]), { name: "UsageError", message: /--port/ });
  assert.throws(() => parse(["x", "y"]), { name: "UsageError", message: /"y"/ });
});

Deno.test("wholeNumber() and realNumber() name the option and its bounds", () => {
  const whole = (text: string) =>
    wholeNumber({ limit: text }, "limit", { min: 1, max: 10, fallback: 5 });
  assert.equal(whole("10"), 10);
  assert.equal(wholeNumber({}, "limit", { min: 1, max: 10, fallback: 5 }), 5);
  for (const text of ["0", "11", "1.5", "", "-1", "1e1", "NaN", " 1"]) {
    assert.throws(() => whole(text), UsageError, text);
  }
  const real = (text: string) =>
    realNumber({ temperature: text }, "temperature", { min: 0, max: 2, fallback: 0 });
  assert.equal(real("0.8"), 0.8);
  for (const text of ["", "-0.1", "2.1", "NaN", "hot"]) {
    assert.throws(() => real(text), { message: /'--temperature' must be a number from 0 to 2/ });
  }
});

Deno.test("every command has --help, and mistakes end with status 2", async (t) => {
  const commands = [
    "serve",
    "gateway",
    "node",
    "pull",
    "build",
    "chat",
    "top",
    "completion",
    "bench",
    "verify",
    "config",
  ];
  for (const words of [...commands.map((name) => [name]), ["train"], ["bench", "spec"], []]) {
    await t.step(words.join(" ") || "redraft", async () => {
      const help = await redraft(...words, "--help");
      assert.equal(help.code, 0, help.stderr);
      assert.match(help.stdout, /redraft|deno task/);
      const wrong = await redraft(...words, "--no-such-option");
      assert.equal(wrong.code, 2, wrong.stderr);
      assert.match(wrong.stderr, /no-such-option/);
    });
  }
});
