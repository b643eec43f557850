/** Runs what the pages show, against a real server; what takes too long here is run by the test
 * that the page names. @module */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { ROUTES } from "../../gateway/app.ts";
import { Served } from "../support/served.ts";
import { readSourceFiles, ROOT } from "../support/source_files.ts";
import { commandsOf, readExamples } from "./examples.ts";
import { PageRunner } from "./page_runner.ts";
import { PAGES, readPage } from "./shown.ts";

Deno.test("every example of the pages runs, but those that name what runs them", async (t) => {
  await using served = await Served.start();
  const runner = new PageRunner(served.url);
  for (const page of PAGES) {
    for (const example of readExamples(await readPage(page))) {
      if (example.runBy.length > 0 || example.notRun !== undefined) continue;
      await t.step(`${page}:${example.line} ${example.language}`, () => runner.run(example));
    }
  }
});

Deno.test("the pages are all that there are", () => {
  const paths = readSourceFiles([".md"]).map(({ path }) => path);
  assert.deepEqual(paths.toSorted(), [...PAGES].toSorted());
});

Deno.test("every command that another test runs is one that it takes from its page", async () => {
  for (const page of PAGES) {
    for (const example of readExamples(await readPage(page))) {
      const sources = await Promise.all(example.runBy.map(readPage));
      // A long line of a page is a sum of strings.
      const runners = sources.map((text) => text.replaceAll(/["']\s*\+\s*["']/g, ""));
      for (const line of runners.length > 0 ? commandsOf(example) : []) {
        const literal = JSON.stringify(line).slice(1, -1);
        const isRun = runners.some((text) => text.includes(line) || text.includes(literal));
        assert.ok(isRun, `${page}:${example.line}: none of ${example.runBy} runs ${line}`);
      }
    }
  }
});

Deno.test("what no test runs is a container engine's, and its page says so", async () => {
  for (const page of PAGES) {
    const text = await readPage(page);
    for (const example of readExamples(text).filter(({ notRun }) => notRun !== undefined)) {
      const lines = commandsOf(example);
      assert.ok(lines.length > 0 && lines.every((line) => line.startsWith("docker ")), page);
      assert.match(text, /no container engine/, page);
    }
  }
});

/** What the examples call where they leave the path to OpenAI's client. */
const CALLS: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "chat.completions.create(",
  "/v1/completions": "client.completions.create(",
  "/v1/responses": "responses.create(",
  "/v1/models": "models.list(",
  "/v1/models/:id{.+}": "models.retrieve(",
};

Deno.test("docs/api.md: every endpoint has an example in curl, Python and TypeScript", async () => {
  const examples = readExamples(await readPage("docs/api.md"));
  for (const language of ["sh", "python", "ts"]) {
    const texts = examples.filter((one) => one.language === language).map(({ text }) => text);
    for (const { path } of ROUTES.filter((route) => !route.path.startsWith("/playground."))) {
      const shown = path.replace(":id{.+}", "SmolLM2-135M-Instruct");
      const isShown = texts.some((text) =>
        new RegExp(`[0-9"\` ]${shown.replace(/^\//, "/?")}["'\`;\\s]`).test(`${text} `) ||
        (CALLS[path] !== undefined && text.includes(CALLS[path]))
      );
      assert.ok(isShown, `${language}: no example of ${path}`);
    }
  }
});

Deno.test("every link between the pages leads somewhere", async () => {
  for (const page of PAGES) {
    for (const [, target] of (await readPage(page)).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      await Deno.stat(join(ROOT, dirname(page), target!)).catch(() => {
        assert.fail(`${page}: no ${target}`);
      });
    }
  }
});

/** As GitHub names a heading. */
const anchorOf = (heading: string) =>
  heading.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-");

Deno.test("every link to a heading names one that is there", async () => {
  for (const page of PAGES) {
    for (const [, target, anchor] of (await readPage(page)).matchAll(/\]\(([^)#:]*)#([^)]+)\)/g)) {
      const text = await readPage(join(dirname(page), target || page.split("/").at(-1)!));
      const headings = [...text.matchAll(/^#+ (.+)$/gm)].map(([, words]) => anchorOf(words!));
      assert.ok(headings.includes(anchor!), `${page}: no #${anchor} in ${target || page}`);
    }
  }
});
