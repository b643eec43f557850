import assert from "node:assert/strict";
import fc from "fast-check";
import { type KeyLimits, KeyMeter, SlidingWindow, WINDOW_MS } from "../../gateway/limits.ts";
import { budgetError, limitError, rateHeaders, tooManyTokens } from "../../gateway/rate_headers.ts";

const START = Date.UTC(2026, 0, 31, 23, 59, 0);

Deno.test("SlidingWindow holds the last minute, and says when there is room", () => {
  const window = new SlidingWindow();
  window.add(5, START);
  window.add(3, START + 10_500);
  assert.equal(window.msUntil(8, START + 20_000), 0);
  assert.equal(window.sum(START + 20_000), 8);
  const waitMs = window.msUntil(3, START + 20_000);
  assert.equal(window.sum(START + 20_000 + waitMs - 1), 8);
  assert.equal(window.sum(START + 20_000 + waitMs), 3);
  assert.equal(window.sum(START + 2 * WINDOW_MS), 0);
});

Deno.test("SlidingWindow stands a clock that is set back", () => {
  const window = new SlidingWindow();
  window.add(5, START);
  window.add(2, START - 3_600_000);
  assert.equal(window.sum(START), 7);
  assert.equal(window.sum(START + 62_000), 0);
});

interface Use {
  at: number;
  tokens: number;
}

Deno.test("no minute holds more tokens than the limit, whenever in their request they come", () => {
  const step = fc.record({
    gapMs: fc.nat(20_000),
    tokens: fc.integer({ min: 1, max: 60 }),
    usedShare: fc.double({ min: 0, max: 1, noNaN: true }),
    lengthMs: fc.nat(90_000),
  });
  fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
    const limits: KeyLimits = { tokensPerMinute: 100, budgetPeriod: "day" };
    const meter = new KeyMeter();
    const uses: Use[] = [];
    let ends: Array<{ at: number; reserved: number; used: number }> = [];
    let now = START;
    for (const { gapMs, tokens, usedShare, lengthMs } of steps) {
      now += gapMs;
      for (const end of ends.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at)) {
        meter.settle(end.reserved, end.used, end.at);
        meter.release();
      }
      ends = ends.filter(({ at }) => at > now);
      if (meter.admit(limits, tokens, now).kind === "refused") continue;
      const used = Math.round(tokens * usedShare);
      ends.push({ at: now + lengthMs, reserved: tokens, used });
      // The worst case of both: all of it at its beginning, or all at its end.
      uses.push({ at: usedShare < 0.5 ? now : now + lengthMs, tokens: used });
    }
    for (const { at } of uses) {
      const inMinute = uses.filter((use) => use.at > at - WINDOW_MS && use.at <= at);
      const sum = inMinute.reduce((total, use) => total + use.tokens, 0);
      assert.ok(sum <= 100, `${sum} tokens in the minute before ${at - START}`);
    }
    for (const { reserved, used, at } of ends) {
      meter.settle(reserved, used, Math.max(at, now));
      meter.release();
    }
    assert.equal(meter.inFlight, 0);
    assert.equal(meter.reservedTokens, 0);
  }));
});

Deno.test("a request over a limit takes nothing, and what it is told holds", () => {
  const meter = new KeyMeter();
  const limits: KeyLimits = {
    requestsPerMinute: 2,
    tokensPerMinute: 100,
    inFlightMax: 2,
    budgetPeriod: "day",
  };
  const refusal = (tokens: number, now: number) => {
    const decision = meter.admit(limits, tokens, now);
    return decision.kind === "refused" ? decision.what : undefined;
  };
  assert.equal(refusal(101, START), "request_size");
  assert.equal(refusal(80, START), undefined);
  assert.equal(refusal(21, START), "tokens");
  assert.equal(refusal(20, START), undefined);
  assert.equal(refusal(0, START), "in_flight");
  meter.settle(80, 30, START + 1000);
  meter.release();
  assert.equal(refusal(1, START + 1000), "requests");
  const later = meter.admit(limits, 1, START + 1000);
  assert.ok(later.kind === "refused");
  assert.equal(refusal(50, START + 1000 + later.retryMs - 1), "requests");
  assert.equal(refusal(50, START + 1000 + later.retryMs), undefined);
});

Deno.test("a budget begins anew with the UTC day or month, and counts what is in flight", () => {
  for (const budgetPeriod of ["day", "month"] as const) {
    const meter = new KeyMeter();
    const limits: KeyLimits = { budgetTokens: 100, budgetPeriod };
    assert.equal(meter.admit(limits, 60, START).kind, "admitted");
    const refused = meter.admit(limits, 60, START);
    assert.ok(refused.kind === "refused" && refused.what === "budget");
    assert.equal(refused.budgetUsed, 60);
    assert.equal(refused.retryMs, 60_000); // START is a minute before both.
    meter.settle(60, 50, START + 10);
    assert.equal(meter.admit(limits, 51, START + 20).kind, "refused");
    // What no period holds is never admitted, so no time to wait is named.
    const over = meter.admit(limits, 101, START + 20);
    assert.ok(over.kind === "refused" && over.what === "request_size" && over.retryMs === 0);
    assert.equal(meter.admit(limits, 100, START + 60_000).kind, "admitted");
  }
});

Deno.test("headers: OpenAI's and the IETF's", () => {
  const headers = rateHeaders({
    requests: { limit: 600, remaining: 599, resetMs: 120 },
    tokens: { limit: 1000, remaining: 0, resetMs: 361_500 },
  });
  assert.deepEqual(headers, {
    "x-ratelimit-limit-requests": "600",
    "x-ratelimit-remaining-requests": "599",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "1000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "6m1.5s",
    "ratelimit-policy": '"requests";q=600;w=60, "tokens";q=1000;w=60',
    "ratelimit": '"requests";r=599;t=1, "tokens";r=0;t=362',
  });
  assert.deepEqual(rateHeaders({}), {});
  const error = limitError("tokens", 1500, {});
  assert.equal(error.headers["retry-after"], "2");
  assert.equal(error.headers["retry-after-ms"], "1500");
});

Deno.test("a request over what is left of a budget is told of it, and of what would fit", () => {
  const limits: KeyLimits = { budgetTokens: 100, budgetPeriod: "day" };
  const ask = { tokens: 84, promptTokens: 4, choiceCount: 1, field: "max_tokens" };
  const words = (used: number, more = {}) =>
    budgetError(limits, used, { ...ask, ...more }, 3_600_000, {});
  const error = words(64);
  assert.equal(
    error.message,
    "Request over what is left on tokens per day: Limit 100, Used 64, Requested 84. " +
      "It would fit with 'max_tokens' of at most 32.",
  );
  assert.deepEqual([error.status, error.code, error.param], [
    429,
    "insufficient_quota",
    "max_tokens",
  ]);
  assert.equal(error.headers["x-should-retry"], "false");
  assert.equal(error.headers["retry-after"], "3600");
  assert.match(words(64, { promptTokens: 8, choiceCount: 2 }).message, /at most 14\.$/);
  for (
    const [used, more] of [[64, { promptTokens: 36 }], [100, {}], [101, { tokens: 0 }]] as const
  ) {
    const refused = words(used, more);
    assert.match(refused.message, /Requested \d+\.$/);
    assert.equal(refused.param, null);
    assert.equal(/used up/.test(refused.message), used >= 100);
  }
});

Deno.test("a request over a limit by itself: 429, limit and requested, nothing to wait for", () => {
  const limits: KeyLimits = { tokensPerMinute: 100, budgetTokens: 500, budgetPeriod: "month" };
  const states = { tokens: { limit: 100, remaining: 100, resetMs: 0 } };
  const minute = tooManyTokens(limits, { tokens: 209, field: "max_tokens" }, states);
  assert.deepEqual([minute.status, minute.type, minute.code], [
    429,
    "tokens",
    "rate_limit_exceeded",
  ]);
  assert.match(
    minute.message,
    /too large.*\(TPM\): Limit 100, Requested 209\. Waiting does not help/,
  );
  assert.equal(minute.param, "max_tokens");
  assert.equal(minute.headers["x-should-retry"], "false");
  assert.equal(minute.headers["x-ratelimit-limit-tokens"], "100");
  const budgeted = { budgetTokens: 500, budgetPeriod: "month" } as const;
  const budget = tooManyTokens(budgeted, { tokens: 501, field: "max_output_tokens" }, {});
  assert.equal(budget.code, "insufficient_quota");
  assert.match(budget.message, /tokens per month: Limit 500, Requested 501\..*'max_output_tokens'/);
  for (const { headers } of [minute, budget]) {
    assert.ok(!Object.keys(headers).some((name) => name.startsWith("retry-after")));
  }
});
