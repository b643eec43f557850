import assert from "node:assert/strict";

const MAIN = new URL("../../gpu-node/main.ts", import.meta.url);

/** Runs the node to its end, with the permissions that a node has. */
async function runNode(args: string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", "--allow-env", "--allow-read", MAIN.href, ...args],
    env,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the node says which flag is wrong, on standard error alone", async () => {
  const { code, stdout, stderr } = await runNode(["--model=m", "--port=70000"]);
  assert.equal(code, 2);
  assert.equal(stdout, "");
  assert.match(JSON.parse(stderr.trim().split("\n").at(-1)!).error, /--port/);
});

Deno.test("the node leaves loopback only with a token", async () => {
  const { code, stderr } = await runNode(["--model=m", "--host=0.0.0.0"], {
    REDRAFT_NODE_TOKEN: "",
  });
  assert.equal(code, 2);
  assert.match(stderr, /REDRAFT_NODE_TOKEN/);
});

Deno.test("the node refuses a port in use before it opens its engine", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  const { code, stdout, stderr } = await runNode(["--model=/nowhere", `--port=${port}`]);
  assert.equal(code, 1);
  assert.equal(stdout, "");
  const words = `Cannot listen on 127.0.0.1:${port}: the port is in use; --port names another`;
  assert.equal(JSON.parse(stderr.trim().split("\n").at(-1)!).error, words);
});

Deno.test("the node prints its help", async () => {
  const { code, stdout } = await runNode(["--help"]);
  assert.equal(code, 0);
  assert.match(stdout, /--model FILE/);
});
