/** The playground in a real Chromium, before a real gateway, node and model. */
import assert from "node:assert/strict";
import type { Page } from "playwright-core";
import { eventually, sampleSum, Served } from "../support/served.ts";
import { answered, answerOf, closeBrowser, send, seriousFindings } from "./page.ts";
import { set, textOf, withPage } from "./page.ts";

const STORY = "Tell me a long story about a river and a heart.";
const BYTES_MAX = 200_000;
const LOAD_MS_MAX = 1000;

let starting: Promise<Served> | undefined;

function served(): Promise<Served> {
  return starting ??= Served.start("--pages-max=512");
}

Deno.test.afterAll(async () => {
  await closeBrowser();
  await (await starting)?.[Symbol.asyncDispose]();
});

/** What the tree of each step says was kept, from the first step to the last. */
async function keptBySteps(page: Page): Promise<string[]> {
  const count = Number(await page.locator("#step-choice").getAttribute("max"));
  const kept: string[] = [];
  for (let step = 1; step <= count; ++step) {
    await page.locator("#step-choice").fill(String(step));
    await page.locator("#step", { hasText: `Step ${step} of ${count}` }).waitFor();
    const boxes = await page.locator(".tree g.taken, .tree g.drawn").all();
    const texts = await Promise.all(boxes.map((box) => box.getAttribute("data-text")));
    kept.push(texts.join(""));
  }
  return kept;
}

Deno.test("the page is small and loads at once", async () => {
  const { url } = await served();
  let bestMs = Infinity;
  for (let i = 0; i < 3; ++i) {
    await withPage(url, async (page) => {
      const entries = await page.evaluate(() =>
        JSON.stringify([
          ...performance.getEntriesByType("navigation"),
          ...performance.getEntriesByType("resource"),
        ])
      );
      const loads = JSON.parse(entries) as { transferSize: number; loadEventEnd?: number }[];
      assert.ok(loads.length >= 3, "page, program and style");
      const bytes = loads.reduce((sum, { transferSize }) => sum + transferSize, 0);
      assert.ok(bytes > 5000 && bytes < BYTES_MAX, `${bytes} bytes`);
      bestMs = Math.min(bestMs, loads[0]!.loadEventEnd!);
    });
  }
  assert.ok(bestMs < LOAD_MS_MAX, `${bestMs} ms`);
});

Deno.test("a chat: the tree appears mid-answer, and its kept paths spell the answer", async () => {
  const { url } = await served();
  await withPage(url, async (page) => {
    await send(page, STORY);
    await page.locator('.chat-view:has(button:text-is("Stop")) .tree g.root').waitFor();
    await answered(page);
    const kept = await keptBySteps(page);
    assert.equal(kept.join(""), await textOf(page));
    assert.ok(kept.length > 20, `${kept.length} steps`);
    assert.ok(Number(await page.locator("#per-step b").textContent()) > 1.2);
    assert.ok(Number(await page.locator("#per-second b").textContent()) > 0);
    // The tokens of the step that is looked at are in sight, marked.
    const turns = page.locator(".turns");
    await page.locator("#step-choice").fill("2");
    await answerOf(page).locator(".marked").first().waitFor();
    const [box, token] = await Promise.all([
      turns.boundingBox(),
      answerOf(page).locator(".marked").first().boundingBox(),
    ]);
    assert.ok(token!.y >= box!.y && token!.y + token!.height <= box!.y + box!.height);
    // A click on a token shows its step, whose tokens are then marked in the answer.
    await answerOf(page).locator("span.draft").first().click();
    const marked = await answerOf(page).locator(".marked").allTextContents();
    const path = await page.locator(".tree g.taken, .tree g.drawn").all();
    const texts = await Promise.all(path.map((box) => box.getAttribute("data-text")));
    assert.equal(marked.join(""), texts.join(""));
  });
});

Deno.test("stop frees the slot, by button and by Escape, and the chat goes on", async () => {
  const node = await served();
  const slotsBusy = async () => sampleSum(await node.nodeMetrics(), "redraft_slots_busy");
  await withPage(node.url, async (page) => {
    await set(page, "max_tokens", 4096);
    for (const [turn, stop] of ["button", "Escape"].entries()) {
      await send(page, STORY);
      await page.locator(".message.model").nth(turn).locator(".text span").nth(3).waitFor();
      assert.equal(await slotsBusy(), 1);
      if (stop === "button") await page.getByRole("button", { name: "Stop" }).click();
      else await page.keyboard.press("Escape");
      await page.getByRole("note").getByText("Stopped.").nth(turn).waitFor();
      await eventually(async () => await slotsBusy() === 0, 5000, () => "the slot is still busy");
    }
    await set(page, "max_tokens", 8);
    await send(page, "Name three rivers.");
    await answered(page);
    assert.equal(await page.locator(".message").count(), 6);
    assert.notEqual(await textOf(page), "");
    // A new chat leaves the answer under way behind.
    await set(page, "max_tokens", 4096);
    await send(page, STORY);
    await page.locator(".message.model").nth(3).locator(".text span").nth(3).waitFor();
    await page.getByRole("button", { name: "New chat" }).click();
    await eventually(async () => await slotsBusy() === 0, 5000, () => "the slot is still busy");
    await page.getByRole("button", { name: "Send", exact: true }).waitFor();
    assert.equal(await page.locator(".message, .tree").count(), 0);
  });
});

Deno.test("on and off: equal text, greedy and drawn, and the time of both", async () => {
  const { url } = await served();
  await withPage(url, async (page) => {
    for (const temperature of [0, 0.8]) {
      await page.locator("nav").getByText("Chat").click();
      await set(page, "temperature", temperature);
      await set(page, "max_tokens", 48);
      await page.locator("nav").getByText("On and off").click();
      await page.getByRole("button", { name: "Run both" }).click();
      const verdict = page.locator("#verdict", { hasText: /times as fast/ });
      await verdict.waitFor();
      assert.match((await verdict.textContent())!, /^Equal text, token for token/);
      const [on, off] = await Promise.all(
        ["on", "off"].map((side) => page.locator(`#side-${side} .text`).textContent()),
      );
      assert.ok(on!.length > 10);
      assert.equal(on, off);
      assert.equal(await page.locator("#side-off span.draft").count(), 0);
    }
  });
});

Deno.test("a message is edited: what followed it is asked anew", async () => {
  const { url } = await served();
  await withPage(url, async (page) => {
    await set(page, "max_tokens", 12);
    await send(page, "Name three rivers.");
    await answered(page);
    await page.getByRole("button", { name: "Edit" }).click();
    await page.locator("#edit").press("Escape");
    assert.equal(await page.locator("#edit").count(), 0);
    await page.getByRole("button", { name: "Edit" }).click();
    await page.locator("#edit").fill("Name three lakes.");
    await page.keyboard.press("Enter");
    await page.locator(".user .text", { hasText: "lakes" }).waitFor();
    await answered(page);
    assert.equal(await page.locator(".message").count(), 2);
    assert.equal(await page.locator(".user .text").textContent(), "Name three lakes.");
    // What cannot be sent is not sent, and says why.
    await set(page, "seed", "");
    await send(page, "Hello.");
    await page.locator(".message.model .bad", { hasText: "Seed: a whole number" }).waitFor();
  });
});

Deno.test("the fleet view counts what its node did", async () => {
  const node = await served();
  const { url, model } = node;
  const speculation = { mode: "fixed", beam_width: 4, beam_length: 5, packed_max: 12 };
  const messages = [{ role: "user", content: STORY }];
  const body = { model, messages, speculation, temperature: 0, max_tokens: 64 };
  await (await node.post("/v1/chat/completions", body)).text();
  await withPage(url, async (page) => {
    await page.locator("#fleet-words", { hasText: "1 of 1 nodes ready" }).waitFor();
    assert.match((await page.locator("tbody").textContent())!, /ready0 \/ 320 \/ 512/);
    assert.match((await page.locator(".depths .said").textContent())!, /^1: [1-9]\d* %, 2: /);
  }, { view: "fleet" });
});

Deno.test("by keyboard alone, with nothing that axe finds serious, light and dark", async () => {
  const { url } = await served();
  for (const colorScheme of ["light", "dark"] as const) {
    await withPage(url, async (page) => {
      await set(page, "max_tokens", 24);
      await page.locator("#draft").focus();
      await page.keyboard.type("Name three rivers.");
      await page.keyboard.press("Enter");
      await page.locator(".message.user").waitFor();
      await answered(page);
      await page.locator("#step-choice").focus();
      await page.keyboard.press("Home");
      await page.locator("#step", { hasText: "Step 1 of" }).waitFor();
      await page.keyboard.press("ArrowRight");
      await page.locator("#step", { hasText: "Step 2 of" }).waitFor();
      for (const view of ["Chat", "On and off", "Fleet"]) {
        await page.locator("nav").getByText(view).focus();
        await page.keyboard.press("Enter");
        await page.locator("nav a[aria-current=page]", { hasText: view }).waitFor();
        if (view === "Fleet") await page.locator("tbody tr").waitFor();
        assert.deepEqual(await seriousFindings(page), [], `${view}, ${colorScheme}`);
      }
    }, { colorScheme });
  }
});

Deno.test("a narrow screen scrolls down, never sideways", async () => {
  const { url } = await served();
  await withPage(url, async (page) => {
    await set(page, "max_tokens", 24);
    await send(page, "Name three rivers.");
    await answered(page);
    for (const view of ["Chat", "On and off", "Fleet"]) {
      await page.locator("nav").getByText(view).click();
      if (view === "Fleet") await page.locator("tbody tr").waitFor();
      const width = await page.locator("html").evaluate((root) => root.scrollWidth);
      assert.ok(width <= 320, `${view} is ${width} wide`);
      assert.deepEqual(await seriousFindings(page), [], view);
    }
  }, { viewport: { width: 320, height: 640 } });
});
