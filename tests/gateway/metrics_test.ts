import assert from "node:assert/strict";
import { withGateway } from "../support/scripted_gateway.ts";

Deno.test("metrics are Prometheus text with the gateway's names", async () => {
  await withGateway(async ({ chat, url }) => {
    await (await chat()).text();
    const text = await (await fetch(`${url}/metrics`)).text();
    for (
      const line of [
        /^redraft_gateway_requests_total\{route="\/v1\/chat\/completions",status="200"\} 1$/m,
        /^gen_ai_server_time_to_first_token_seconds_count\{gen_ai_operation_name="chat",.*\} 1$/m,
        /^redraft_gateway_draft_tokens_total\{accepted="true"\} 4$/m,
        /^process_resident_memory_bytes \d+$/m,
        /^redraft_gateway_node_ready\{node="ws:[^"]+"\} 1$/m,
      ]
    ) assert.match(text, line);
    for (const line of text.trimEnd().split("\n")) {
      assert.match(line, /^(# (HELP|TYPE) |[a-z_]+(\{[^}]*\})? -?[0-9.e+-]+$)/);
    }
  });
});

Deno.test("OpenTelemetry's metrics name the provider and the error", async () => {
  await withGateway(async ({ chat, post, url, node }) => {
    await (await chat()).text();
    await (await chat({ temperature: 9 })).text();
    await (await chat({ model: "canary" })).text();
    await (await post("/v1/completions", {})).text();
    node.script = (stream) => stream.fail("engine", false);
    await (await chat()).text();
    const text = await (await fetch(`${url}/metrics`)).text();
    const name = "gen_ai_server_request_duration_seconds_count";
    const series = text.split("\n").filter((line) => line.startsWith(name));
    const chatOf = `gen_ai_operation_name="chat",gen_ai_provider_name="redraft"`;
    const textOf = chatOf.replace("chat", "text_completion");
    const model = `gen_ai_request_model="scripted"`;
    assert.deepEqual(series, [
      `${name}{${chatOf},${model}} 1`,
      `${name}{${chatOf},error_type="invalid_value"} 1`,
      `${name}{${chatOf},error_type="model_not_found"} 1`,
      `${name}{${textOf},error_type="missing_required_parameter"} 1`,
      `${name}{${chatOf},${model},error_type="upstream_error"} 1`,
    ]);
    const others = text.split("\n").filter((line) => /^gen_ai_.*_count\b/.test(line));
    assert.ok(others.every((line) => line.includes('gen_ai_provider_name="redraft"')), "provider");
    assert.doesNotMatch(text, /canary/);
  });
});
