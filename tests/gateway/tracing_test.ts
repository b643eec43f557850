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
