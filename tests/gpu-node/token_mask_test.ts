/** Masks and constrained trees on the real model's vocabulary. */
import assert from "node:assert/strict";
import { Constraint } from "../../gpu-node/constraint.ts";
import {
  type ConstrainedNode,
  constrainedTree,
  treeDepth,
} from "../../gpu-node/constrained_tree.ts";
import type { GrammarState } from "../../gpu-node/grammar_state.ts";
import { TokenMasks } from "../../gpu-node/token_mask.ts";
import { testTokenizerJson } from "../support/test_model.ts";

const json = await testTokenizerJson();
const VOCAB = JSON.parse(new TextDecoder().decode(json)).tokens.length;
const masks = new TokenMasks(json, VOCAB);
const STOP = 2;

const PERSON = {
  type: "object",
  properties: {
    first_name: { type: "string", maxLength: 6 },
    city: { anyOf: [{ type: "string", maxLength: 2 }, { const: "Amsterdam" }] },
    notes: { type: "string" },
    age: { type: "integer" },
  },
  required: ["first_name", "city", "notes", "age"],
  additionalProperties: false,
};
const ANSWER = '{"first_name": "Ann", "city": "Amsterdam","notes":"é \\n x","age":42}';

const has = (mask: Uint32Array, token: number) => (mask[token >> 5]! >> (token & 31) & 1) === 1;

/** Token by token, each as long as it can be. */
function tokensOf(text: string): number[] {
  let bytes = [...new TextEncoder().encode(text)];
  const tokens: number[] = [];
  while (bytes.length > 0) {
    const token = masks.longestToken(bytes.slice(0, 12))!;
    tokens.push(token);
    bytes = bytes.slice(masks.bytesOf(token)!.length);
  }
  return tokens;
}

Deno.test("a mask has the tokens with which the grammar goes on, and no other", () => {
  const text = (rules: Record<string, unknown>) => ({ type: "string", ...rules });
  checkMasks(PERSON, ANSWER);
  checkMasks(text({ pattern: "^.{1,5}end$" }), '"é ab end"');
  checkMasks(text({ pattern: "be" }), '"to be or"');
  // The sample that stands for any character is the very one that the pattern takes.
  checkMasks({ anyOf: [text({ maxLength: 3 }), text({ pattern: "^a" })] }, '"again"');
  checkMasks({ anyOf: [text({ maxLength: 3 }), text({ pattern: "^a" })] }, '"bit"');
  checkMasks(text({ format: "date" }), '"2024-02-29"');
  checkMasks({ type: "integer", minimum: 3, maximum: 120 }, "117");
});

function checkMasks(schema: unknown, answer: string): void {
  let state: GrammarState = masks.start(JSON.stringify(schema));
  for (const token of tokensOf(answer)) {
    const mask = masks.mask(state, [STOP]);
    for (let id = 0; id < VOCAB; id++) {
      const allowed = id === STOP ? state.accepts : masks.after(state, id) !== undefined;
      if (allowed !== has(mask, id)) assert.fail(`token ${id} before ${token}: ${allowed}`);
    }
    state = masks.after(state, token)!;
  }
  assert(state.accepts);
  assert(has(masks.mask(state, [STOP]), STOP));
}

const BOUNDS = { nodesMax: 64, depthMax: 15, forcedChance: 0.75 };
const ALONE = (token: number) => ({ tokens: [token], parents: [-1], logprobs: [0] });

function pathOf(tree: readonly ConstrainedNode[]): number[] {
  return tree.slice(1).map(({ token }) => token);
}

Deno.test("where one text is left, the tree is that text", () => {
  const start = masks.start(JSON.stringify(PERSON));
  const tree = constrainedTree(masks, start, ALONE(7), BOUNDS);
  assert.deepEqual(pathOf(tree), tokensOf('{"first_name":'));
  tree.forEach(({ parent, isForced }, i) => {
    assert.equal(parent, i - 1);
    assert.equal(isForced, i > 0);
  });
  assert.equal(treeDepth(tree), tree.length - 1);
  assert.equal(constrainedTree(masks, start, ALONE(7), { ...BOUNDS, nodesMax: 3 }).length, 3);
  assert.equal(treeDepth(constrainedTree(masks, start, ALONE(7), { ...BOUNDS, depthMax: 2 })), 2);
  assert.equal(constrainedTree(masks, start, ALONE(7), { ...BOUNDS, nodesMax: 0 }).length, 1);
});

Deno.test("of a draft, what the grammar refuses falls away, with all that hangs on it", () => {
  const start = masks.start(JSON.stringify({ type: "array", items: { type: "boolean" } }));
  const [open, yes, no, comma] = ["[", "true", "false", ","].map((text) => tokensOf(text)[0]!);
  const next = {
    tokens: [7, open!, comma!, yes!, yes!, comma!, no!, STOP],
    parents: [-1, 0, 0, 1, 2, 3, 5, 3],
    logprobs: [0, -0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7],
  };
  const tree = constrainedTree(masks, start, next, BOUNDS);
  // The comma after nothing, its child and the stop token are gone.
  assert.deepEqual(pathOf(tree), [open, yes, comma, no]);
  assert.deepEqual(tree.map(({ parent }) => parent), [-1, 0, 1, 2, 3]);
  for (const { state } of tree) assert(masks.mask(state, [STOP]).some((word) => word !== 0));
});

Deno.test("what is forced and drafted is one packed token, and order is by chance", () => {
  const start = masks.start(JSON.stringify(PERSON));
  const [first, second] = tokensOf('{"first_name":');
  const next = { tokens: [7, first!, second!], parents: [-1, 0, 1], logprobs: [0, -2, -3] };
  const tree = constrainedTree(masks, start, next, BOUNDS);
  assert.deepEqual(pathOf(tree).filter((token) => token === first), [first]);
  assert(Math.abs(tree[1]!.logprob - Math.log(0.75)) < 1e-9);
  tree.slice(1).forEach(({ logprob, parent }, i) => {
    assert(logprob <= tree[i]!.logprob, "falling");
    assert(parent <= i, "parents first");
  });
});

Deno.test("a constraint learns how its guesses fare", () => {
  const guesses = (right: boolean): number => {
    const text = JSON.stringify(PERSON);
    const constraint = new Constraint(masks, text, new Set([STOP]), []);
    for (let i = 0; i < 20; i++) {
      const tree = constraint.tree(ALONE(7), 16, 15);
      constraint.learn(tree, right ? [...pathOf(tree), 9] : [9]);
    }
    return constraint.tree(ALONE(7), 16, 15)[1]!.logprob;
  };
  assert(guesses(true) > Math.log(0.95));
  assert(guesses(false) < Math.log(0.2));
});
