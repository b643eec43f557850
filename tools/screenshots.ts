/** Takes the pictures of docs/images, `deno task screenshots`: a real gateway, node and model in a
 * real Chromium. @module */
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { launchOptions, provideChromium } from "./chromium.ts";
import { ROOT } from "./paths.ts";

const FOLDER = join(ROOT, "docs", "images");
/** A picture that is fetched with the README should cost no more. */
const BYTES_MAX = 300_000;
const VIEWPORT = { width: 1280, height: 640 };
/** Code, which drafts foresee best. */
const PROMPT =
  "Write a Python class for a bank account with deposit, withdraw and transfer, and show its use.";
/** A longer one, in prose. */
const STORY = "Tell me a long story about a river and a heart.";
/** Of the steps that are looked at for one whose tree says much. */
const STEPS_SEEN = 32;
/** So few that drafts pay: with many at once a step has no room for them. */
const LOAD_STREAMS = 2;

interface Server {
  url: string;
  model: string;
  stop(): Promise<void>;
}

async function startServer(): Promise<Server> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "mod.ts"), "serve", "--port=0", "--json"],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  let text = "";
  for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += piece;
    if (text.includes("\n")) break;
  }
  if (!text.startsWith('{"event":"ready"')) throw new Error("Cannot start redraft serve");
  const stop = async () => {
    child.kill("SIGTERM");
    await child.status;
  };
  return { ...JSON.parse(text), stop };
}

async function shoot(page: Page, name: string): Promise<void> {
  const png = await page.screenshot();
  if (png.length > BYTES_MAX) throw new Error(`${name}.png has ${png.length} bytes`);
  await Deno.writeFile(join(FOLDER, `${name}.png`), png);
  console.log(`docs/images/${name}.png ${png.length} bytes`);
}

/** Chooses the step that says most: many accepted, others tried beside them. */
async function chooseStep(page: Page): Promise<void> {
  const choice = page.locator("#step-choice");
  await page.locator("#step", { hasText: new RegExp(`of ([4-9]\\d|\\d{3}):`) }).waitFor();
  let best = { step: 1, score: -1 };
  for (let step = 1; step <= STEPS_SEEN; ++step) {
    await choice.fill(String(step));
    const words = (await page.locator("#step").textContent())!;
    const accepted = Number(/(\d+) accepted/.exec(words)?.[1] ?? 0);
    const others = await page.locator(".tree g.left").count();
    const score = Math.min(accepted, 4) + Math.min(others, 8) / 2;
    if (score > best.score) best = { step, score };
  }
  await choice.fill(String(best.step));
  await choice.blur();
}

async function shootChat(page: Page, url: string): Promise<void> {
  await page.goto(url);
  await page.locator("summary").click();
  await page.locator("[name=max_tokens]").fill("1024");
  await page.locator("summary").click();
  await page.locator("#draft").fill(PROMPT);
  await page.keyboard.press("Enter");
  await chooseStep(page);
  await page.getByRole("button", { name: "Stop" }).waitFor();
  await shoot(page, "playground");
  await page.keyboard.press("Escape");
}

async function shootCompare(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/#compare`);
  await page.locator("#compared").fill(STORY);
  // A fresh node has yet to measure what pays on it: the second run is the one that is shown.
  for (let run = 0; run < 2; ++run) {
    await page.getByRole("button", { name: "Run both" }).click();
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await page.locator("#verdict", { hasText: "times as fast" }).waitFor();
  }
  await shoot(page, "on_and_off");
}

async function shootFleet(page: Page, { url, model }: Server): Promise<void> {
  const stopped = new AbortController();
  const streams = Array.from({ length: LOAD_STREAMS }, (_, i) => {
    const messages = [{ role: "user", content: `${PROMPT} It is bank ${i}.` }];
    const body = JSON.stringify({
      model,
      messages,
      max_tokens: 1500,
      temperature: 0,
      stream: true,
    });
    const headers = { "content-type": "application/json" };
    return fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers,
      body,
      signal: stopped.signal,
    }).then((response) => response.text()).catch(() => {});
  });
  await page.goto(`${url}/#fleet`);
  await page.locator(".metered", { hasText: new RegExp(`^${LOAD_STREAMS} / `) }).waitFor();
  await page.waitForTimeout(6000); // The line of tokens a second grows once a second.
  await shoot(page, "fleet");
  stopped.abort();
  await Promise.all(streams);
}

async function takeAll(browser: Browser, server: Server): Promise<void> {
  const context = await browser.newContext({
    viewport: VIEWPORT,
    colorScheme: "light",
    deviceScaleFactor: 1.5,
  });
  const page = await context.newPage();
  await shootChat(page, server.url);
  await page.reload();
  await shootCompare(page, server.url);
  await page.setViewportSize({ width: 1280, height: 300 });
  await shootFleet(page, server);
}

async function main(): Promise<void> {
  await Deno.mkdir(FOLDER, { recursive: true });
  const path = await provideChromium((line) => console.error(line));
  const server = await startServer();
  try {
    const browser = await chromium.launch(launchOptions(path));
    await takeAll(browser, server);
    await browser.close();
  } finally {
    await server.stop();
  }
}

if (import.meta.main) {
  if (Deno.args.length === 0) await main();
  else {
    console.log(
      "deno task screenshots: takes the pictures of docs/images anew; it has no options.",
    );
    Deno.exit(Deno.args[0] === "--help" ? 0 : 2);
  }
}
