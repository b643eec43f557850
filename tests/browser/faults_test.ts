/** The playground where things go wrong: keys, nodes that die, answers that attack. */
import assert from "node:assert/strict";
import type { ScriptedStream } from "../support/scripted_node.ts";
import { type Fixture, waitUntil, withGateway } from "../support/scripted_gateway.ts";
import { answered, closeBrowser, send, textOf, withPage } from "./page.ts";

const KEY = "sk-playground-0123456789";
const TEXT = "It was the best of times, it was the worst of times.";
const BYTES = [...new TextEncoder().encode(TEXT)];
const ATTACK = `<script>window.broken=1</script><img src=x onerror="window.broken=1">` +
  `<a href="javascript:window.broken=1">a</a> [b](javascript:window.broken=1) ` +
  `<svg onload=window.broken=1></svg>&lt;b&gt;<style>*{display:none}</style>`;

Deno.test.afterAll(closeBrowser);

/** Goes on from the tokens that the Submit brings, as a real node would. */
function goOn(stream: ScriptedStream, tokenCount: number): void {
  const start = stream.submit.generatedCount;
  const end = Math.min(BYTES.length, start + tokenCount);
  stream.tokens(BYTES.slice(start, end));
  if (end === BYTES.length) stream.finish();
}

Deno.test("a bad key is named, a good one is taken", async () => {
  await withGateway(async ({ url }) => {
    await withPage(url, async (page) => {
      const alert = page.getByRole("alert");
      await alert.waitFor();
      const missing = await alert.textContent();
      await page.locator("#key").fill("sk-wrong");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").filter({ hasText: "Incorrect API key" }).waitFor();
      await page.locator("#key").fill("k\u00e9y");
      await page.keyboard.press("Enter");
      await page.getByRole("alert").filter({ hasText: "printable ASCII" }).waitFor();
      await page.locator("#key").fill(KEY);
      await page.keyboard.press("Enter");
      await page.locator("#key").waitFor({ state: "detached" });
      await send(page, "Hi");
      await answered(page);
      assert.equal(await textOf(page), "Hello, world!");
      assert.match(missing!, /key/i);
      assert.doesNotMatch(missing!, /Incorrect/);
      assert.doesNotMatch(await page.locator("html").innerHTML(), new RegExp(KEY));
    }, { mayLog: /401/ });
  }, { env: { REDRAFT_API_KEYS: KEY } });
});

Deno.test("a node lost mid-answer: another goes on, and nothing shows", async () => {
  await withGateway(async (fixture) => {
    let lost = 0;
    for (const node of fixture.nodes) {
      node.script = (stream) => {
        if (lost > 0) return goOn(stream, BYTES.length);
        ++lost;
        goOn(stream, 10);
        setTimeout(() => node.dropConnection(), 50);
      };
    }
    await withPage(fixture.url, async (page) => {
      await send(page, "Hi");
      await answered(page);
      assert.equal(await textOf(page), TEXT);
      assert.equal(await page.locator(".bad").count(), 0);
    });
    assert.equal(lost, 1);
  }, { nodes: [{}, {}] });
});

Deno.test("the only node lost mid-answer: the text stays, the end is told", async () => {
  await withGateway(async ({ url, node, gateway }) => {
    node.script = (stream) => {
      goOn(stream, 10);
      setTimeout(() => node.dropConnection(), 50);
    };
    await withPage(url, async (page) => {
      await send(page, "Hi");
      await page.locator(".message.model .bad").waitFor();
      assert.equal(await textOf(page), TEXT.slice(0, 10));
      await waitUntil(() => gateway.services.pool.readyCount === 1, "the node is back");
      node.script = (stream) => goOn(stream, BYTES.length);
      await page.getByRole("button", { name: "Try again" }).click();
      // The old end is gone as soon as the new answer is under way.
      await page.locator(".message.model .bad").waitFor({ state: "detached" });
      await answered(page);
      assert.equal(await textOf(page), TEXT);
    });
  }, { args: ["--failover-timeout-s", "0"] });
});

async function attack({ url, node }: Fixture): Promise<void> {
  const bytes = [...new TextEncoder().encode(ATTACK)];
  node.script = (stream) => {
    const tree = bytes.slice(0, 8).map((token, i) => ({
      token,
      parent: i - 1,
      logprob: -i,
      accepted: true,
    }));
    const step = { tokenCount: 16, draftedCount: 7, acceptedCount: 7, tree };
    stream.tokens(bytes, { steps: [step] });
    stream.finish();
  };
  await withPage(url, async (page) => {
    await send(page, ATTACK);
    await answered(page);
    assert.equal(await textOf(page), ATTACK);
    assert.equal(await page.locator(".user .text").textContent(), ATTACK);
    assert.equal(await page.locator("#page :is(script, img, iframe, style, object)").count(), 0);
    assert.equal(await page.locator("#page a:not(nav a)").count(), 0);
    assert.ok(await page.locator(".user .text").isVisible());
    assert.equal(await page.evaluate(() => "broken" in globalThis), false);
    await page.goto(`${url}/#compare`);
    await page.getByRole("button", { name: "Run both" }).click();
    await page.locator("#verdict", { hasText: "Equal text" }).waitFor();
    assert.equal(await page.locator("#side-on .text").textContent(), ATTACK);
    assert.equal(await page.evaluate(() => "broken" in globalThis), false);
  });
}

Deno.test("an answer that attacks stays text, and so does a model's name", async () => {
  await withGateway(attack, { nodes: [{ modelId: `<img src=x onerror="window.broken=1">` }] });
});

Deno.test("a gateway that goes away is told, not waited for", async () => {
  let url = "";
  await withGateway(async (fixture) => {
    url = fixture.url;
    await withPage(url, async (page) => {
      await fixture.gateway.close();
      await send(page, "Hi");
      await page.locator(".message.model .bad", { hasText: "cannot be reached" }).waitFor();
      // Refused, or reset: the browser may have dialled while the listener closed.
    }, { mayLog: /ERR_CONNECTION_(REFUSED|RESET)/ });
  });
});
