/** deploy/README.md: what it names is there, and its options are ones that the scripts know. What
 * they do is shown by namespaces_test.ts, edge_test.ts, compose_test.ts and chart_test.ts. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { readExamples } from "../docs/examples.ts";
import { ROOT } from "../support/source_files.ts";

const README = join(ROOT, "deploy", "README.md");
const text = await Deno.readTextFile(README);

async function mustBe(path: string): Promise<void> {
  await Deno.stat(path).catch(() => assert.fail(`${path} is named and not there`));
}

Deno.test("deploy/README.md: every link leads somewhere", async () => {
  const links = [...text.matchAll(/\]\(([^)#]+)\)/g)].map(([, target]) => target!);
  assert.ok(links.length > 4);
  for (const target of links) await mustBe(join(dirname(README), target));
});

Deno.test("deploy/README.md: every script and option that it names is there", async () => {
  const blocks = readExamples(text).map((example) => example.text).join("\n");
  const inline = [...text.matchAll(/`(deploy\/[^`]+)`/g)].map(([, words]) => words);
  const commands = `${blocks}\n${inline.join("\n")}`.matchAll(
    /(deploy\/[a-z_/]+\.sh)([^\n#;|&)]*)/g,
  );
  let count = 0;
  for (const [, path, rest] of commands) {
    await mustBe(join(ROOT, path!));
    const script = await Deno.readTextFile(join(ROOT, path!));
    for (const word of rest!.trim().split(/\s+/).filter((one) => /^(--)?[a-z-]{3,}$/.test(one))) {
      assert.ok(script.includes(word), `${path} knows no ${word}`);
    }
    ++count;
  }
  assert.ok(count >= 12, `${count} commands`);
});

Deno.test("deploy/README.md: values and units that it names are there", async () => {
  const values = await Deno.readTextFile(join(ROOT, "deploy", "chart", "values.yaml"));
  const named = [...text.matchAll(/`((?:node|gateway|secrets|keys|inferencePool)\.[\w.]+)/g)];
  assert.ok(named.length > 5);
  for (const [, path] of named) {
    for (const word of path!.split(".")) assert.match(values, new RegExp(`\\b${word}:`), path);
  }
  const security = /gives (1\.\d) and (1\.\d) of 10/.exec(text);
  assert.ok(security, "the units' exposure");
});
