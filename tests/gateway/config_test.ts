import assert from "node:assert/strict";
import { ConfigError, readConfig, type SettingKind } from "../../gateway/config.ts";

const KINDS = new Map<string, SettingKind>([["port", "number"], ["allow-host", "list"]]);
const DIGEST = "5e884898da28047151d0e56f8dc6292773603d0d6aabbdd62a11ef721d1542d8";

function problems(text: string): string[] {
  try {
    readConfig(text, KINDS);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.split("\n");
  }
  return [];
}

Deno.test("readConfig() takes YAML and JSON alike", () => {
  const yaml = `
port: 81
allow_host: [a, b]
keys:
  - tenant: alice
    sha256: ${DIGEST}
    models: [m]
    priority: 3
    requests_per_minute: 10
    tokens_per_minute: 1000
    requests_in_flight_max: 2
    budget_tokens: 5000
    budget_period: day
    may_pick_node: true
    sockets_max: 4
  - { tenant: bob, sha256: ${DIGEST.replace("5", "6")} }
`;
  const config = readConfig(yaml, KINDS);
  const json = JSON.stringify({
    port: 81,
    allow_host: ["a", "b"],
    keys: [{
      tenant: "alice",
      sha256: DIGEST,
      models: ["m"],
      priority: 3,
      requests_per_minute: 10,
      tokens_per_minute: 1000,
      requests_in_flight_max: 2,
      budget_tokens: 5000,
      budget_period: "day",
      may_pick_node: true,
      sockets_max: 4,
    }, { tenant: "bob", sha256: DIGEST.replace("5", "6") }],
  });
  assert.deepEqual(readConfig(json, KINDS), config);
  assert.deepEqual([...config.settings], [["port", "81"], ["allow-host", ["a", "b"]]]);
  const [alice, bob] = config.keys.map((key) => key.principal);
  assert.deepEqual(alice!.limits, {
    requestsPerMinute: 10,
    tokensPerMinute: 1000,
    inFlightMax: 2,
    budgetTokens: 5000,
    budgetPeriod: "day",
  });
  assert.deepEqual([...alice!.models!], ["m"]);
  assert.equal(alice!.priority, 3);
  assert.equal(alice!.mayPickNode, true);
  assert.equal(alice!.socketsMax, 4);
  assert.deepEqual(bob, {
    tenant: "bob",
    keyId: DIGEST.replace("5", "6").slice(0, 16),
    priority: 0,
  });
});

Deno.test("readConfig() says all that is wrong at once, each by its name", () => {
  const found = problems(`
port: many
ports: 1
allow-host: [a]
keys:
  - tenant: "no spaces please"
    sha256: short
    requests_per_minute: 0
    tokens_per_minute: 1.5
    colour: red
  - tenant: bob
  - 7
  - { tenant: c, sha256: ${DIGEST}, priority: 101, budget_period: week, models: [1] }
  - { tenant: d, sha256: ${DIGEST}, may_pick_node: 1, sockets_max: -1 }
`).join("\n");
  for (
    const words of [
      /'port'/,
      /Unknown setting 'ports'/,
      /Unknown setting 'allow-host'/,
      /'keys\[0\]\.tenant'/,
      /'keys\[0\]\.sha256'/,
      /'keys\[0\]\.requests_per_minute'/,
      /'keys\[0\]\.tokens_per_minute'/,
      /'keys\[0\]\.colour'/,
      /'keys\[1\]\.sha256'/,
      /'keys\[2\]'/,
      /'keys\[3\]\.priority'/,
      /'keys\[3\]\.budget_period'/,
      /'keys\[3\]\.models'/,
      /'keys\[4\]\.may_pick_node'/,
      /'keys\[4\]\.sockets_max'/,
      /'keys\[4\]\.sha256' is that of an earlier key/,
    ]
  ) assert.match(found, words);
});

Deno.test("readConfig() refuses what is no configuration, without quoting it", () => {
  assert.match(problems("keys: [canary")[0]!, /line 1/);
  assert.doesNotMatch(problems("keys: [canary").join(), /canary/);
  assert.match(problems("port: 1\nport: 2")[0]!, /unique/);
  assert.match(problems("[]")[0]!, /object/);
  assert.match(problems("")[0]!, /object/);
  assert.match(problems("x".repeat((1 << 20) + 1))[0]!, /mebibyte/);
  // The aliases of a "billion laughs" are not followed.
  const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
  for (let i = 1; i < 9; ++i) {
    lines.push(`a${i}: &a${i} [${new Array(9).fill(`*a${i - 1}`).join(", ")}]`);
  }
  assert.ok(problems(lines.join("\n")).length > 0);
});
