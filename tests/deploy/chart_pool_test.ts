/** The chart's inference pool and its route, of the Gateway API and its extension: rendered,
 * and held against what defines their kinds. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { find, helmTest, type Manifest, manifests, VALIDATE } from "./chart.ts";
import { ran } from "./scripts.ts";
import { goModule } from "./tools.ts";

const POOL = [
  "inferencePool.enabled=true",
  "inferencePool.picker=picker",
  "inferencePool.parent=entry",
];
/** What defines the kinds of POOL: not Kubernetes itself. */
const DEFINITIONS = [
  [
    "sigs.k8s.io/gateway-api@v1.4.1",
    "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
  ],
  [
    "sigs.k8s.io/gateway-api-inference-extension@v1.4.0",
    "config/crd/bases/inference.networking.k8s.io_inferencepools.yaml",
  ],
] as const;

helmTest(
  "an inference pool is of the gateways' pods and their front, and a route leads to it",
  async () => {
    const all = await manifests(...POOL);
    const pool = all.find(({ kind }) => kind === "InferencePool");
    const route = all.find(({ kind }) => kind === "HTTPRoute");
    const { metadata, spec } = find(all, "Deployment", "gateway").spec.template;
    for (const [label, value] of Object.entries(pool.spec.selector.matchLabels)) {
      assert.equal(metadata.labels[label], value, label);
    }
    const front = spec.containers.find(({ name }: Manifest) => name === "front");
    assert.deepEqual(pool.spec.targetPorts, [{ number: front.ports[0].containerPort }]);
    assert.deepEqual(pool.spec.endpointPickerRef, {
      name: "picker",
      port: { number: 9002 },
      failureMode: "FailOpen",
    });
    assert.deepEqual(route.spec.parentRefs, [{ name: "entry" }]);
    const [{ backendRefs: [backend] }] = route.spec.rules;
    assert.equal(backend.name, pool.metadata.name);
    assert.equal(`${backend.group}/v1`, pool.apiVersion);
    assert.ok(!(await manifests()).some(({ kind }) => /Pool|Route/.test(kind)));
  },
);

helmTest("pool and route keep to the schemas that define them", async () => {
  if (!VALIDATE) return;
  const folder = await Deno.makeTempDir();
  try {
    const [definitions, rendered] = [join(folder, "definitions"), join(folder, "rendered")];
    await Deno.mkdir(definitions);
    await Deno.mkdir(rendered);
    for (const [i, [module, path]] of DEFINITIONS.entries()) {
      const found = await goModule(module);
      if (!found) return; // That is said.
      const text = await Deno.readTextFile(join(found, path));
      await Deno.writeTextFile(join(definitions, `${i}.yaml`), text);
    }
    const validate = (path: string) => ran(VALIDATE!, ["--local-crds", definitions, path]);
    const all = (await manifests(...POOL)).filter(({ kind }) => /Pool|Route/.test(kind));
    assert.equal(all.length, 2);
    for (const one of all) {
      const path = join(rendered, `${one.kind}.json`);
      await Deno.writeTextFile(path, JSON.stringify(one));
      const right = await validate(path);
      assert.equal(right.code, 0, right.text);
      // It can fail: a field that the definition does not know.
      const wrong = { ...one, spec: { ...one.spec, nonsense: 1 } };
      await Deno.writeTextFile(path, JSON.stringify(wrong));
      assert.match((await validate(path)).text, /nonsense/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
