/** The Helm chart, rendered for tests. @module */
import assert from "node:assert/strict";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { ROOT } from "../support/source_files.ts";
import { ran } from "./scripts.ts";
import { goTool } from "./tools.ts";

export const CHART = join(ROOT, "deploy", "chart");
export const HELM = await goTool("helm", "helm.sh/helm/v3/cmd/helm@v3.22.0");
export const VALIDATE = HELM && // Without the one the other has nothing to read.
  await goTool("kubectl-validate", "sigs.k8s.io/kubectl-validate@v0.0.4");

export const DIGEST = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
export const SECRETS = [
  "secrets.nodeToken=0123456789abcdef0123",
  "secrets.redisPassword=0123456789abcdef0123",
  "keys.list[0].tenant=a",
  `keys.list[0].sha256=${DIGEST}`,
];
export const set = (values: readonly string[]) => values.flatMap((value) => ["--set", value]);

export function render(values: readonly string[], version = "1.31.0") {
  return ran(HELM!, ["template", "r", CHART, "--kube-version", version, ...set(values)]);
}

// deno-lint-ignore no-explicit-any -- manifests, as deep as they come.
export type Manifest = any;

export async function manifests(...values: string[]): Promise<Manifest[]> {
  const { code, text } = await render([...SECRETS, ...values]);
  assert.equal(code, 0, text);
  // Helm tells on standard error that it follows the link to nginx.conf.
  const yaml = text.replaceAll(/^walk\.go:.*\n/gm, "");
  return parseAllDocuments(yaml).map((one) => one.toJS() as Manifest).filter(Boolean);
}

export const find = (all: Manifest[], kind: string, part: string) =>
  all.find((one) => one.kind === kind && one.metadata.name === `r-${part}`);

export const helmTest = (words: string, body: () => Promise<void>) => {
  if (HELM) Deno.test(`chart: ${words}`, body);
};
