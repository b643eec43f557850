/** Who may call what, and what bad input gets: the attack list's basics over real sockets. */
import assert from "node:assert/strict";
import { ROUTES } from "../../gateway/app.ts";
import { chatBody, type Fixture, statusOf, withGateway } from "../support/scripted_gateway.ts";

const KEY = "sk-canary-0123456789";
const KEYED = { env: { REDRAFT_API_KEYS: `alice=${KEY},bob=sk-of-bob-0123456789` } };
const AUTHORIZED = { headers: { authorization: `Bearer ${KEY}` } };

async function expectError(
  response: Response,
  status: number,
  code: string,
  param: string | null = null,
): Promise<void> {
  const text = await response.text();
  assert.equal(response.status, status, text);
  const { error } = JSON.parse(text);
  for (const key of ["message", "type", "param", "code"]) assert.ok(key in error, key);
  assert.equal(error.code, code, text);
  assert.equal(error.param, param, text);
  assert.equal(response.headers.get("content-type"), "application/json");
  assert.ok(response.headers.get("x-request-id"));
}

/** One raw HTTP/1.1 exchange, for what no client library would send. */
async function raw({ gateway }: Fixture, request: string): Promise<string> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port: gateway.port });
  try {
    await connection.write(new TextEncoder().encode(request));
    let answer = "";
    const buffer = new Uint8Array(65536);
    while (true) {
      const count = await connection.read(buffer);
      if (count === null) break;
      answer += new TextDecoder().decode(buffer.subarray(0, count));
      if (answer.includes("\r\n\r\n") && !/^HTTP\/1.1 200/.test(answer)) break;
      if (answer.includes("\r\n0\r\n") || answer.includes("}")) break;
    }
    return answer;
  } finally {
    connection.close();
  }
}

for (const route of ROUTES) {
  const path = route.path.replace(":id{.+}", "scripted");
  Deno.test(`${route.method} ${path} is ${route.scope}`, async () => {
    await withGateway(async ({ url }) => {
      for (const authorization of [undefined, "Bearer wrong", "Basic abc", `Bearer ${KEY}x`, ""]) {
        const headers = authorization === undefined ? undefined : { authorization };
        const response = await fetch(url + path, { method: route.method, headers });
        if (route.scope === "public") {
          assert.equal(response.status, 200);
          await response.body?.cancel();
        } else {
          assert.equal(response.headers.get("www-authenticate"), "Bearer");
          await expectError(response, 401, "invalid_api_key");
        }
      }
    }, KEYED);
  });
}

Deno.test("paths that only look like routes do not exist", async () => {
  await withGateway(async ({ url }) => {
    for (
      const path of [
        "//v1/models",
        "/v1//models",
        "/v1/models%2f",
        "/V1/models",
        "/v1/models/..%2f..%2fmetrics",
        "/metrics/",
        "/healthz/../metrics",
        "/v1/chat/completions/",
        "/invocations",
        "/tokenize/",
        "/playground",
      ]
    ) {
      const response = await fetch(url + path, {
        headers: { "x-original-url": "/healthz", "x-http-method-override": "GET" },
      });
      await response.body?.cancel();
      assert.ok([401, 404].includes(response.status), `${path} ${response.status}`);
    }
  }, KEYED);
});

Deno.test("404 and 405 come in OpenAI's shape", async () => {
  await withGateway(async ({ url, post }) => {
    await expectError(await fetch(`${url}/v2/models`), 404, "unknown_url");
    await expectError(await fetch(`${url}/v1/chat/completions`), 405, "method_not_allowed");
    const response = await post("/v1/models", {});
    assert.equal(response.headers.get("allow"), "GET");
    await expectError(response, 405, "method_not_allowed");
    await expectError(await post("/v1/models/scripted", {}), 405, "method_not_allowed");
  });
});

Deno.test("models are listed and shown", async () => {
  await withGateway(async ({ url }) => {
    const list = await (await fetch(`${url}/v1/models`, AUTHORIZED)).json();
    assert.equal(list.object, "list");
    const model = await (await fetch(`${url}/v1/models/scripted`, AUTHORIZED)).json();
    assert.deepEqual(list.data, [model]);
    assert.equal(model.object, "model");
    assert.equal(model.owned_by, "redraft");
    await expectError(
      await fetch(`${url}/v1/models/org/other`, AUTHORIZED),
      404,
      "model_not_found",
      "model",
    );
  }, KEYED);
});

Deno.test("bodies: size, encoding, type, UTF-8, JSON, depth", async () => {
  await withGateway(async (fixture) => {
    const { post } = fixture;
    const path = "/v1/chat/completions";
    const large = "x".repeat((1 << 20) + 1);
    await expectError(await post(path, large), 413, "request_too_large");
    const chunked = new Blob([large]).stream();
    const streamed = await post(path, "", { body: chunked });
    await expectError(streamed, 413, "request_too_large");
    const gzip = { headers: { "content-encoding": "gzip" } };
    await expectError(await post(path, "{}", gzip), 415, "unsupported_media_type");
    const form = { headers: { "content-type": "application/x-www-form-urlencoded" } };
    await expectError(await post(path, "{}", form), 415, "unsupported_media_type");
    const broken = { body: Uint8Array.of(0x22, 0xff, 0x22) };
    await expectError(await post(path, "", broken), 400, "invalid_utf8");
    await expectError(await post(path, ""), 400, "invalid_json");
    await expectError(await post(path, '{"model":'), 400, "invalid_json");
    await expectError(await post(path, "[".repeat(100_000)), 400, "invalid_json");
    const deep = `{"model":"scripted","metadata":${'{"a":'.repeat(64)}1${"}".repeat(64)}}`;
    await expectError(await post(path, deep), 400, "invalid_json");
    await expectError(await post(path, "[]"), 400, "invalid_type", "body");
  }, { args: ["--body-max-mib", "1"] });
});

Deno.test("requests: each wrong field is named", async () => {
  await withGateway(async ({ chat, post, node }) => {
    const cases: Array<[Record<string, unknown>, number, string, string]> = [
      [{ model: "other" }, 404, "model_not_found", "model"],
      [{ model: undefined }, 400, "missing_required_parameter", "model"],
      [{ messages: [] }, 400, "invalid_value", "messages"],
      [{ messages: [{ role: "user" }] }, 400, "missing_required_parameter", "messages[0].content"],
      [{ messages: [{ role: "boss", content: "" }] }, 400, "invalid_value", "messages[0].role"],
      [{ temperature: "hot" }, 400, "invalid_type", "temperature"],
      [{ temperature: 2.1 }, 400, "invalid_value", "temperature"],
      [{ n: 1000 }, 400, "invalid_value", "n"],
      [{ max_tokens: 0 }, 400, "invalid_value", "max_tokens"],
      [{ max_tokens: 1e12 }, 400, "invalid_value", "max_tokens"],
      [{ max_tokens: 5, max_completion_tokens: 6 }, 400, "invalid_value", "max_tokens"],
      [{ logprobs: true, top_logprobs: 21 }, 400, "invalid_value", "top_logprobs"],
      [{ top_logprobs: 2 }, 400, "invalid_value", "top_logprobs"],
      [{ stop: ["a", "b", "c", "d", "e"] }, 400, "invalid_value", "stop"],
      [{ stop: "x".repeat(257) }, 400, "invalid_value", "stop"],
      [{ logit_bias: { a: 1 } }, 400, "invalid_type", "logit_bias"],
      [{ logit_bias: { 999: 1 } }, 400, "invalid_value", "logit_bias"],
      [{ functions: [{ name: "f" }] }, 400, "unsupported_parameter", "functions"],
      [
        { response_format: { type: "xml" } },
        400,
        "invalid_value",
        "response_format.type",
      ],
      [{ api_base: "http://169.254.169.254/" }, 400, "unknown_parameter", "api_base"],
      [{ stream_options: {} }, 400, "invalid_value", "stream_options"],
      [
        { speculation: { mode: "fixed" } },
        400,
        "missing_required_parameter",
        "speculation.beam_width",
      ],
      [{ store: true }, 400, "unsupported_parameter", "store"],
      [
        { messages: [{ role: "user", content: [{ type: "image_url", image_url: {} }] }] },
        400,
        "unsupported_parameter",
        "messages[0].content[0].type",
      ],
    ];
    for (const [more, status, code, param] of cases) {
      await expectError(await chat(more), status, code, param);
    }
    const lone = JSON.stringify(chatBody({ stop: "\ud800" }));
    await expectError(await post("/v1/chat/completions", lone), 400, "invalid_value", "stop");
    assert.equal(node.submits.length, 0);
    const harmless = { user: "u", metadata: { a: "b" }, store: false, service_tier: "auto" };
    const response = await chat({ ...harmless, parallel_tool_calls: true, tools: [], stop: null });
    assert.equal(response.status, 200);
    await response.body?.cancel();
  });
});

Deno.test("a prompt past the context gets both counts", async () => {
  await withGateway(async ({ chat, post, node }) => {
    const long = [{ role: "user", content: "x".repeat(200) }];
    const response = await chat({ messages: long });
    assert.equal(response.status, 400);
    const { error } = await response.json();
    assert.equal(error.code, "context_length_exceeded");
    assert.equal(error.n_prompt_tokens, 207);
    assert.equal(error.n_ctx, 128);
    const tokens = new Array(128).fill(1);
    await expectError(
      await post("/v1/completions", { model: "scripted", prompt: ["a", tokens], n: 2 }),
      400,
      "context_length_exceeded",
      "prompt[1]",
    );
    assert.equal(node.submits.length, 0);
    await (await chat({ max_tokens: 1000 })).body?.cancel();
    assert.equal(node.submits[0]!.tokensMax, 128 - "user: Hi\n".length);
  }, { nodes: [{ contextMax: 128 }] });
});

Deno.test("Host: missing, foreign and smuggled ones are refused", async () => {
  await withGateway(async (fixture) => {
    assert.match(await raw(fixture, "GET /healthz HTTP/1.1\r\n\r\n"), /400.*missing_host/s);
    const evil = "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    assert.match(await raw(fixture, evil), /403.*host_not_allowed/s);
    const local = "GET /healthz HTTP/1.1\r\nHost: LOCALHOST:1\r\nConnection: close\r\n\r\n";
    assert.match(await raw(fixture, local), /200 OK/);
    for (
      const head of [
        "Host: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Host: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host : localhost\r\n",
      ]
    ) {
      assert.match(
        await raw(fixture, `POST /v1/completions HTTP/1.1\r\n${head}\r\n{}`),
        /^HTTP\/1.1 400/,
      );
    }
  });
});

Deno.test("huge headers and URLs are refused by status, not by a crash", async () => {
  await withGateway(async ({ url, chat }) => {
    const response = await fetch(`${url}/healthz`, { headers: { "x-a": "a".repeat(600_000) } })
      .catch(() => undefined);
    assert.ok(response === undefined || response.status >= 400);
    await response?.body?.cancel();
    assert.equal(await statusOf(await chat()), 200);
  });
});

Deno.test("a harmless x-request-id is kept, another one replaced", async () => {
  await withGateway(async ({ chat }) => {
    const kept = await chat({}, { headers: { "x-request-id": "abc-1.2_3" } });
    assert.equal(kept.headers.get("x-request-id"), "abc-1.2_3");
    await kept.body?.cancel();
    const other = await chat({}, { headers: { "x-request-id": "a b<script>" } });
    assert.match(other.headers.get("x-request-id")!, /^req_/);
    await other.body?.cancel();
  });
});

Deno.test("neither keys nor prompts reach the log, the metrics or another's answer", async () => {
  await withGateway(async ({ chat, url, log, node }) => {
    const secret = "canary-in-the-prompt";
    const messages = [{ role: "user", content: secret }];
    await (await chat({ messages }, AUTHORIZED)).text();
    await (await chat({ messages: secret }, AUTHORIZED)).text();
    await (await chat({ messages }, { headers: { authorization: "Bearer canary-bad-key" } }))
      .text();
    node.script = (stream) => stream.fail("engine", false);
    await (await chat({ messages }, AUTHORIZED)).text();
    const metrics = await (await fetch(`${url}/metrics`, AUTHORIZED)).text();
    const sinks = log.lines.join("\n") + metrics;
    assert.ok(log.lines.length > 3);
    assert.doesNotMatch(sinks, /canary/);
  }, KEYED);
});
