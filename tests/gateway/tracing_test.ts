import assert from "node:assert/strict";
import { telemetryEnv } from "../../cli/telemetry.ts";
import { withGateway } from "../support/scripted_gateway.ts";

Deno.test("without telemetry a client's trace goes on to the node as it came", async () => {
  await withGateway(async ({ chat, node, log }) => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const headers: Record<string, string>[] = [{ traceparent }, {}, {
      traceparent: "x".repeat(99),
    }];
    for (const each of headers) {
      const response = await chat({}, { headers: each });
      await response.text();
    }
    assert.deepEqual(node.submits.map((submit) => submit.traceparent), [traceparent, "", ""]);
    const lines = log.lines.map((line) => JSON.parse(line)).filter(({ event }) =>
      event === "request"
    );
    assert.deepEqual(lines.map(({ trace_id }) => trace_id), [
      "0af7651916cd43dd8448eb211c80319c",
      undefined,
      undefined,
    ]);
  });
});

Deno.test("a request is one line of the log, with text only where asked for", async () => {
  for (const args of [[], ["--log-text"]]) {
    await withGateway(async ({ chat, log }) => {
      await (await chat({ stream: true }, { headers: { "x-request-id": "asked-1" } })).text();
      const lines = log.lines.filter((line) => line.includes("asked-1"));
      assert.equal(lines.length, 1);
      const line = JSON.parse(lines[0]!);
      assert.equal(line.status, 200);
      assert.equal(line.output_tokens, "Hello, world!".length);
      assert.ok(line.first_token_ms > 0 && line.duration_ms >= line.first_token_ms);
      const isAsked = args.length > 0;
      assert.equal(line.answer, isAsked ? "Hello, world!" : undefined);
      assert.equal(line.prompt?.includes("Hi"), isAsked ? true : undefined);
    }, { args });
  }
});

Deno.test("telemetry is on only where a collector is named", () => {
  assert.deepEqual(telemetryEnv("node", () => undefined), {});
  const env: Record<string, string> = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" };
  assert.deepEqual(telemetryEnv("node", (name) => env[name]), {
    OTEL_DENO: "true",
    OTEL_SERVICE_NAME: "redraft-node",
    OTEL_DENO_CONSOLE: "ignore",
  });
  env.OTEL_SERVICE_NAME = "edge";
  assert.equal(telemetryEnv("node", (name) => env[name]).OTEL_SERVICE_NAME, "edge");
});
