/** Runs what the pages show, against a real server. @module */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { runOrThrow } from "../../tools/process.ts";
import { ensurePackages, findPython } from "../../tools/python_packages.ts";
import { Progress } from "../../tools/progress.ts";
import { Served } from "../support/served.ts";
import { ROOT } from "../support/source_files.ts";
import { type Example, readExamples } from "./examples.ts";

const PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  "docs/README.md",
  "docs/api.md",
  "docs/heads.md",
  "docs/operators.md",
  "docs/security.md",
];
const SHOWN_URL = "127.0.0.1:8000";
/** `npx -y deno@VERSION ..` is the Deno that runs this. */
const NPX = `npx() { shift 2; "${Deno.execPath()}" "$@"; }\n`;

class Pages {
  constructor(readonly served: Served) {}

  async run({ language, text }: Example): Promise<void> {
    const shown = text.replaceAll(SHOWN_URL, new URL(this.served.url).host);
    if (language === "sh") {
      return await this.#program("bash", ["-euo", "pipefail", "-c", NPX + shown]);
    }
    const file = await Deno.makeTempFile({ suffix: `.${language}` });
    try {
      await Deno.writeTextFile(file, shown);
      if (language === "ts") {
        return await this.#program(Deno.execPath(), [
          "run",
          "-A",
          "--no-lock",
          "--no-config",
          file,
        ]);
      }
      if (language === "yaml") {
        return await this.#program(Deno.execPath(), [
          "run",
          "-A",
          "mod.ts",
          "config",
          "check",
          file,
        ]);
      }
      const progress = new Progress("Python client openai");
      const PYTHONPATH = await ensurePackages("client-openai", ["openai==3.54.0"], { progress });
      await this.#program(await findPython(), [file], { PYTHONPATH });
    } finally {
      await Deno.remove(file);
    }
  }

  async #program(name: string, args: string[], env: Record<string, string> = {}): Promise<void> {
    const { stdout, stderr } = await runOrThrow(name, args, { cwd: ROOT, env });
    assert.ok(stdout.trim().length > 0, `it printed nothing; on stderr:\n${stderr}`);
  }
}

Deno.test("every example of the pages runs, here or in the test that it names", async (t) => {
  await using served = await Served.start();
  const pages = new Pages(served);
  for (const page of PAGES) {
    const text = await Deno.readTextFile(join(ROOT, page));
    for (const example of readExamples(text)) {
      await t.step(`${page}:${example.line} ${example.language}`, async () => {
        if (example.runBy === undefined) return await pages.run(example);
        for (const path of example.runBy.split(/, and by |, /)) await Deno.stat(join(ROOT, path));
      });
    }
  }
});

Deno.test("every link between the pages leads somewhere", async () => {
  for (const page of [...PAGES, "ARCHITECTURE.md", "CHANGELOG.md"]) {
    const text = await Deno.readTextFile(join(ROOT, page));
    for (const [, target] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      await Deno.stat(join(ROOT, dirname(page), target)).catch(() => {
        assert.fail(`${page}: no ${target}`);
      });
    }
  }
});
