import assert from "node:assert/strict";
import { FlagError, HELP, parseFlags } from "../../gpu-node/flags.ts";

Deno.test("parseFlags() fills in the defaults", () => {
  const parsed = parseFlags(["--model", "m.gguf"]);
  assert(parsed.kind === "serve");
  const { host, port, slotsMax, rowsMax, queueMax } = parsed.flags;
  assert.deepEqual([host, port, slotsMax, rowsMax, queueMax], ["127.0.0.1", 9000, 32, 512, 256]);
  assert.equal(parseFlags(["--model=m", "--info"]).kind, "info");
  assert.equal(parseFlags(["--help"]).kind, "help");
});

Deno.test("parseFlags() names the flag that is wrong", async (t) => {
  const cases: [string[], RegExp][] = [
    [[], /--model is required/],
    [["--model="], /--model is empty/],
    [["--port=70000"], /--port is "70000"/],
    [["--port=1e3"], /--port is "1e3"/],
    [["--threads=0"], /--threads/],
    [["--rows-max=63"], /--rows-max/],
    [["--slots-max=100", "--rows-max=64"], /--slots-max 100 is over --rows-max/],
    [["--pages-max=1", "--kv-mib=1"], /--pages-max and --kv-mib/],
    [["--backend=trtllm", "--head=foo"], /--head does not go with --backend trtllm/],
    [["--spec=1,2"], /--spec is "1,2"/],
    [["--id=a\nb"], /--id/],
    [["--nonsense"], /--nonsense/],
  ];
  for (const [args, message] of cases) {
    await t.step(args.join(" ") || "none", () => {
      const given = message.source.includes("model") ? args : ["--model=m", ...args];
      assert.throws(() => parseFlags(given), (error) => {
        assert(error instanceof FlagError);
        assert.match(error.message, message);
        return true;
      });
    });
  }
});

Deno.test("the help names every flag", () => {
  for (const flag of ["model", "head", "kv-mib", "context-max", "spec", "chunk-max", "drain-ms"]) {
    assert.match(HELP, new RegExp(`--${flag} `));
  }
});
