/** A page of a real Chromium, watched: whatever it complains about or fetches from elsewhere fails
 * the test. @module */
import assert from "node:assert/strict";
import axe from "axe-core";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { launchOptions, provideChromium } from "../../tools/chromium.ts";

/** The machine may be busy; a wait that ends well ends much sooner. */
const WAIT_MS_MAX = 30_000;

let browser: Promise<Browser> | undefined;

function open(): Promise<Browser> {
  return browser ??= provideChromium().then((path) => chromium.launch(launchOptions(path)));
}

export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

export interface PageOptions extends BrowserContextOptions {
  /** What the console may say: a refusal is an error to the browser, not to us. */
  mayLog?: RegExp;
  /** The view to open. */
  view?: "chat" | "compare" | "fleet";
}

export async function withPage(
  url: string,
  act: (page: Page) => Promise<void>,
  { mayLog, view = "chat", ...options }: PageOptions = {},
): Promise<void> {
  const context = await (await open()).newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS_MAX);
  const problems: string[] = [];
  page.on("console", (message) => {
    const isLoud = message.type() === "error" || message.type() === "warning";
    if (isLoud && !mayLog?.test(message.text())) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${url}/`)) problems.push(`fetched ${request.url()}`);
  });
  try {
    await page.goto(`${url}/#${view}`);
    await act(page);
    assert.deepEqual(problems, [], "the page complains");
  } finally {
    await context.close();
  }
}

/** Sends a message, and waits until it is said: the answer is then under way, or over. */
export async function send(page: Page, text: string): Promise<void> {
  const said = await page.locator(".message.user").count();
  await page.locator("#draft").fill(text);
  await page.keyboard.press("Enter");
  await page.locator(".message.user").nth(said).waitFor();
}

/** Waits until no answer is under way. */
export function answered(page: Page): Promise<void> {
  return page.getByRole("button", { name: "Send", exact: true }).waitFor();
}

export const answerOf = (page: Page) => page.locator(".message.model .text").last();

export async function textOf(page: Page): Promise<string> {
  return (await answerOf(page).textContent())!;
}

/** Opens the settings and sets one. */
export async function set(page: Page, name: string, value: string | number): Promise<void> {
  const fold = page.locator("details.settings");
  if (await fold.getAttribute("open") === null) await fold.locator("summary").click();
  const field = fold.locator(`[name=${name}]`);
  if (name === "mode") await field.selectOption(String(value));
  else await field.fill(String(value));
}

/** What axe finds serious or worse, with where. */
export async function seriousFindings(page: Page): Promise<string[]> {
  // As a debugger's script: the page's own policy forbids what is evaluated in it.
  const session = await page.context().newCDPSession(page);
  await session.send("Runtime.evaluate", { expression: axe.source });
  const { result, exceptionDetails } = await session.send("Runtime.evaluate", {
    expression: "axe.run(document).then((found) => JSON.stringify(found.violations))",
    awaitPromise: true,
    returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined);
  const violations = JSON.parse(result.value) as axe.Result[];
  return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`);
}
