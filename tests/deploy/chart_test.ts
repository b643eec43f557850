/** The Helm chart: linted, rendered, held against Kubernetes' own schemas; what is out of range or
 * missing is refused by name. The values' schema is checked even where no helm is. */
import assert from "node:assert/strict";
import { join } from "node:path";
import Ajv from "ajv";
import { parse } from "yaml";
import { shownScript } from "../docs/shown.ts";
import {
  CHART,
  DIGEST,
  find,
  HELM,
  helmTest,
  type Manifest,
  manifests,
  render,
  SECRETS,
  set,
  VALIDATE,
} from "./chart.ts";
import { must, ran } from "./scripts.ts";

const CUDA = [
  "node.backend=cuda",
  "node.gpus=2",
  "node.autoscaling.enabled=true",
  "gateway.autoscaling.enabled=true",
];

Deno.test("chart: values keep to their schema, which refuses what is out of range", async () => {
  const schema = JSON.parse(await Deno.readTextFile(join(CHART, "values.schema.json")));
  const values = parse(await Deno.readTextFile(join(CHART, "values.yaml")));
  const check = new Ajv.default({ allowUnionTypes: true, strict: false }).compile(schema);
  assert.ok(check(values), JSON.stringify(check.errors));
  const refused: [path: string, value: unknown][] = [
    ["node.replicas", 0],
    ["node.gpus", 9],
    ["node.backend", "tpu"],
    ["node.autoscaling.slotsTarget", 101],
    ["gateway.drainS", 0],
    ["gateway.replica", 2],
    ["service.port", 65_536],
    ["secrets.nodeToken", "short"],
    ["redis.url", "redis://:password@host"],
    ["image.gateway", "redraft/gateway@sha256:12"],
    ["gateway.resources.requests.cpu", 0],
    ["gateway.resources.requests.cpu", "0.0"],
    ["gateway.resources.limits.cpu", "0m"],
    ["node.resources.requests.cpu", -2],
    ["node.resources.limits.memory", -1],
    ["node.resources.limits.memory", "0Gi"],
    ["node.resources.limits.memory", "512"],
    ["redis.resources.requests.memory", "1GiB"],
    ["redis.storage", 0],
    ["redis.url", "redis://cache/x"],
    ["node.replicas", null],
    ["node.resources", null],
    ["gateway.logLevel", null],
    ["service.port", null],
  ];
  for (const [path, value] of refused) {
    const changed: Manifest = structuredClone(values);
    const names = path.split(".");
    const last = names.pop()!;
    const owner = names.reduce((at: Manifest, name) => at[name], changed);
    owner[last] = value;
    assert.ok(!check(changed), `${path}=${value} was taken`);
    assert.match(check.errors![0]!.instancePath, new RegExp(`^/${names.join("/")}`));
    if (value !== null) continue;
    delete owner[last]; // As helm reads null.
    assert.ok(!check(changed), `no ${path} was taken`);
    assert.equal(check.errors![0]!.params["missingProperty"], last);
  }
  for (const [cpu, memory] of [["250m", "64Mi"], [0.5, 1 << 30], ["1.5", "0.5Gi"], [16, "8G"]]) {
    const changed: Manifest = structuredClone(values);
    changed.node.resources = { requests: { cpu, memory }, limits: { cpu, memory } };
    assert.ok(check(changed), `${cpu}, ${memory}: ${JSON.stringify(check.errors)}`);
  }
});

helmTest("helm lint finds nothing to mend", async () => {
  const text = await must(HELM!, ["lint", CHART, "--strict", ...set(SECRETS)]);
  assert.match(text, /1 chart\(s\) linted, 0 chart\(s\) failed/);
});

/** Without a cluster: `helm template` takes the same options and renders the same. */
helmTest("the README's command renders, with a key's digest in the place of its word", async () => {
  const line = "helm install redraft deploy/chart --namespace redraft --create-namespace " +
    "--set secrets.nodeToken=$(openssl rand -hex 32) " +
    "--set secrets.redisPassword=$(openssl rand -hex 32) " +
    "--set 'keys.list[0].tenant=me' --set 'keys.list[0].sha256=SHA256'";
  const given = { "helm install": `"${HELM}" template --kube-version 1.31.0`, "SHA256": DIGEST };
  const text = await must("bash", ["-c", await shownScript("deploy/README.md", line, given)]);
  assert.match(text, /namespace: redraft|kind: StatefulSet/);
  assert.ok(text.includes(DIGEST));
});

helmTest("every manifest keeps to Kubernetes' schemas", async () => {
  if (!VALIDATE) return;
  const folder = await Deno.makeTempDir();
  try {
    const variants = [[], CUDA, ["redis.enabled=false", "redis.url=rediss://cache:6380/1"]];
    for (const [i, values] of variants.entries()) {
      const all = await manifests(...values);
      assert.ok(all.length >= 11, `${all.length} manifests`);
      for (const [j, one] of all.entries()) {
        await Deno.writeTextFile(join(folder, `${i}_${j}.json`), JSON.stringify(one));
      }
    }
    await must(VALIDATE, [folder]);
    // It can fail: a field that Kubernetes does not know.
    const [first] = await manifests();
    first.spec.nonsense = 1;
    const wrong = join(folder, "wrong.json");
    await Deno.writeTextFile(wrong, JSON.stringify(first));
    assert.match((await ran(VALIDATE, [wrong])).text, /nonsense/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

helmTest("pods are probed, not root, read-only, and reach what they need alone", async () => {
  const all = await manifests(...CUDA);
  const pods = all.filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet");
  assert.equal(pods.length, 3);
  for (const { spec: { template: { spec } } } of pods) {
    assert.equal(spec.automountServiceAccountToken, false);
    assert.equal(spec.securityContext.runAsNonRoot, true);
    for (const container of spec.containers) {
      assert.ok(container.readinessProbe && container.livenessProbe, container.name);
      assert.equal(container.securityContext.readOnlyRootFilesystem, true);
      assert.deepEqual(container.securityContext.capabilities, { drop: ["ALL"] });
      assert.ok(container.resources.limits.memory, container.name);
    }
  }
  const [node] = find(all, "StatefulSet", "node").spec.template.spec.containers;
  assert.equal(node.resources.limits["nvidia.com/gpu"], 2);
  assert.match(node.image, /-cuda$/);
  assert.deepEqual(find(all, "NetworkPolicy", "node").spec.egress, []);
  assert.equal(find(all, "PodDisruptionBudget", "node").spec.maxUnavailable, 1);
  const names = (part: string) =>
    find(all, "HorizontalPodAutoscaler", part).spec.metrics
      .map((one: Manifest) => one.pods.metric.name);
  assert.deepEqual(names("node"), ["redraft_requests_waiting", "redraft_slots_busy_share"]);
  assert.deepEqual(names("gateway"), [
    "redraft_gateway_queue_size",
    "redraft_gateway_requests_active",
  ]);
});

helmTest("metrics that autoscaling asks for are given by the adapter's rules", async () => {
  const text = await Deno.readTextFile(join(CHART, "prometheus-adapter.yaml"));
  const all = await manifests(...CUDA);
  for (const { kind, spec } of all) {
    if (kind !== "HorizontalPodAutoscaler") continue;
    for (const { pods } of spec.metrics) {
      const last = pods.metric.name.replace("redraft_gateway_", "");
      assert.ok(text.includes(last), `no rule gives ${pods.metric.name}`);
    }
  }
});

helmTest(
  "an API key is a secret that is mounted, so that it changes without a restart",
  async () => {
    const all = await manifests();
    const { spec } = find(all, "Deployment", "gateway").spec.template;
    const volume = spec.volumes.find(({ name }: Manifest) => name === "keys");
    assert.equal(volume.secret.secretName, "r-keys");
    const keys = all.find(({ metadata }) => metadata.name === "r-keys");
    assert.match(keys.stringData["gateway.yaml"], new RegExp(DIGEST));
    // The token is asked for by both sides, from the one secret.
    for (const [kind, part] of [["Deployment", "gateway"], ["StatefulSet", "node"]] as const) {
      const { env } = find(all, kind, part).spec.template.spec.containers[0];
      const token = env.find(({ name }: Manifest) => name === "REDRAFT_NODE_TOKEN");
      assert.deepEqual(token.valueFrom.secretKeyRef, { name: "r-secrets", key: "node-token" });
    }
  },
);

helmTest("what is missing or out of range is refused by name", async () => {
  const cases: [values: string[], words: RegExp][] = [
    [[], /secrets\.nodeToken is missing: set it/],
    [SECRETS.slice(0, 2), /keys\.list is empty: set a key's sha256/],
    [[...SECRETS, "node.replicas=0"], /'\/node\/replicas': minimum: got 0, want 1/],
    [[...SECRETS, "gateway.extraArg={x}"], /'\/gateway': additional properties 'extraArg'/],
    [[...SECRETS, "redis.enabled=false"], /redis\.url is missing: set redis/],
    [[...SECRETS, "node.head=/models/h"], /node\.head is set without node\.model/],
    [
      [...SECRETS, "node.autoscaling.enabled=true", "node.autoscaling.min=9"],
      /node\.autoscaling\.min is over node\.autoscaling\.max: set it to 8 or less/,
    ],
    [[...SECRETS, "inferencePool.enabled=true"], /inferencePool\.picker is missing/],
    [[...SECRETS, "node.replicas=null"], /'\/node': missing property 'replicas'/],
    [[...SECRETS, "gateway=null"], /missing property 'gateway'/],
    [[...SECRETS, "node.resources.requests.cpu=0"], /'\/node\/resources\/requests\/cpu'/],
    [[...SECRETS, "node.resources.limits.memory=-1"], /'\/node\/resources\/limits\/memory'/],
  ];
  for (const [values, words] of cases) {
    const { code, text } = await render(values);
    assert.notEqual(code, 0);
    assert.match(text, words);
  }
  const { text } = await render(SECRETS, "1.20.0");
  assert.match(text, /requires kubeVersion: >=1\.28\.0/);
});
