import assert from "node:assert/strict";
import fc from "fast-check";
import { type NodeView, pickNode, type PickOptions } from "../../gateway/pick_node.ts";
import { PrefixIndex } from "../../gateway/prefix_index.ts";

const NEVER_EXPLORE = () => 0.5;

function view(id: string, more: Partial<NodeView> = {}): NodeView {
  return {
    id,
    usable: true,
    suspect: false,
    slotsMax: 8,
    queueMax: 8,
    activeCount: 0,
    contextTokensWaiting: 0,
    tokensPerStep: 1,
    pagesUsed: 0,
    matchedCount: 0,
    pickedCount: 0,
    ...more,
  };
}

function picked(nodes: NodeView[], more: Partial<PickOptions> = {}): string {
  const pick = pickNode(nodes, { blockCount: 10, random: NEVER_EXPLORE, ...more });
  return pick.kind === "node" ? pick.node.id : pick.kind;
}

Deno.test("pickNode() prefers the longest cached prefix among nodes equally busy", () => {
  assert.equal(picked([view("a", { matchedCount: 3 }), view("b", { matchedCount: 7 })]), "b");
});

Deno.test("pickNode() prefers the less busy of nodes with equal prefixes", () => {
  assert.equal(picked([view("a", { activeCount: 4 }), view("b", { activeCount: 2 })]), "b");
  assert.equal(picked([view("a", { pagesUsed: 0.97 }), view("b", { pagesUsed: 0.1 })]), "b");
});

Deno.test("pickNode() leaves a prefix behind when its node is far busier", () => {
  const nodes = [view("hot", { matchedCount: 10, activeCount: 15 }), view("cold")];
  assert.equal(picked(nodes), "cold");
});

Deno.test("pickNode() takes a free slot elsewhere rather than wait beside a held prefix", () => {
  const held = { matchedCount: 10 };
  assert.equal(picked([view("hot", { ...held, activeCount: 7 }), view("cold")]), "hot");
  const full = view("hot", { ...held, activeCount: 8 });
  assert.equal(picked([full, view("cold", { activeCount: 5 })]), "cold");
});

Deno.test("pickNode() tells a full fleet from an absent one", () => {
  assert.equal(picked([]), "none");
  assert.equal(picked([view("a", { usable: false })]), "none");
  assert.equal(picked([view("a", { activeCount: 16 })]), "full");
});

Deno.test("pickNode() leaves suspect nodes out while there are others", () => {
  const suspect = view("a", { suspect: true, matchedCount: 10 });
  assert.equal(picked([suspect, view("b", { activeCount: 7 })]), "b");
  assert.equal(picked([suspect, view("b", { activeCount: 16 })]), "a");
});

Deno.test("pickNode() spreads ties evenly", () => {
  const nodes = ["a", "b", "c"].map((id) => view(id));
  const counts = new Map<string, number>();
  for (let i = 0; i < 300; ++i) {
    const id = picked(nodes);
    counts.set(id, (counts.get(id) ?? 0) + 1);
    ++nodes.find((node) => node.id === id)!.pickedCount;
  }
  assert.deepEqual([...counts.values()], [100, 100, 100]);
});

Deno.test("pickNode() picks a usable node with room whenever there is one", () => {
  const node = fc.record({
    id: fc.uuid(),
    usable: fc.boolean(),
    suspect: fc.boolean(),
    slotsMax: fc.integer({ min: 1, max: 64 }),
    queueMax: fc.integer({ min: 0, max: 64 }),
    activeCount: fc.integer({ min: 0, max: 200 }),
    contextTokensWaiting: fc.nat(10_000),
    tokensPerStep: fc.double({ min: 0, max: 16, noNaN: true }),
    pagesUsed: fc.double({ min: 0, max: 1, noNaN: true }),
    matchedCount: fc.integer({ min: 0, max: 10 }),
    pickedCount: fc.nat(),
  });
  const random = fc.double({ min: 0, max: 0.999, noNaN: true });
  fc.assert(fc.property(fc.array(node, { maxLength: 8 }), random, (nodes, drawn) => {
    const pick = pickNode(nodes, { blockCount: 10, random: () => drawn });
    const open = nodes.filter((n) => n.usable && n.activeCount < n.slotsMax + n.queueMax);
    if (pick.kind === "node") assert.ok(open.includes(pick.node));
    else assert.equal(open.length, 0);
  }));
});

const hashes = (...values: number[]) => BigUint64Array.from(values.map(BigInt));
const NONE = new BigUint64Array();

Deno.test("PrefixIndex counts blocks from the first on, without a gap", () => {
  const index = new PrefixIndex();
  index.reset("a", 100);
  index.apply("a", hashes(1, 2, 4), NONE);
  assert.equal(index.matched("a", hashes(1, 2, 3, 4)), 2);
  assert.equal(index.matched("a", hashes(9, 1)), 0);
  assert.equal(index.matched("b", hashes(1)), 0);
  index.apply("a", NONE, hashes(1));
  assert.equal(index.matched("a", hashes(1, 2)), 0);
});

Deno.test("PrefixIndex keeps a block that one report removes and stores", () => {
  const index = new PrefixIndex();
  index.reset("a", 100);
  index.apply("a", hashes(1), hashes(1));
  assert.equal(index.matched("a", hashes(1)), 1);
});

Deno.test("PrefixIndex forgets a node that was reset or dropped", () => {
  const index = new PrefixIndex();
  index.reset("a", 100);
  index.apply("a", hashes(1), NONE);
  index.reset("a", 100);
  assert.equal(index.blockCount("a"), 0);
  index.drop("a");
  index.apply("a", hashes(1), NONE);
  assert.equal(index.blockCount("a"), 0);
});

Deno.test("PrefixIndex equals a set per node, and never passes the node's page count", () => {
  const report = fc.record({
    stored: fc.array(fc.nat({ max: 30 }), { maxLength: 10 }),
    removed: fc.array(fc.nat({ max: 30 }), { maxLength: 10 }),
  });
  fc.assert(fc.property(fc.array(report, { maxLength: 20 }), (reports) => {
    const index = new PrefixIndex();
    const bounded = new PrefixIndex();
    const model = new Set<number>();
    index.reset("a", 1000);
    bounded.reset("a", 5);
    for (const { stored, removed } of reports) {
      index.apply("a", hashes(...stored), hashes(...removed));
      bounded.apply("a", hashes(...stored), hashes(...removed));
      for (const hash of removed) model.delete(hash);
      for (const hash of stored) model.add(hash);
      assert.ok(bounded.blockCount("a") <= 5);
    }
    assert.equal(index.blockCount("a"), model.size);
    for (let i = 0; i <= 30; ++i) {
      assert.equal(index.matched("a", hashes(i)), model.has(i) ? 1 : 0);
    }
  }));
});

Deno.test("pickNode() counts prompts not computed yet, and how fast drafts make a node", () => {
  assert.equal(picked([view("a", { contextTokensWaiting: 4096 }), view("b")]), "b");
  const fast = view("fast", { activeCount: 4, tokensPerStep: 3 });
  assert.equal(picked([fast, view("slow", { activeCount: 3 })]), "fast");
});

Deno.test("a session goes home, unless home is far busier; leaving nodes move theirs alone", () => {
  const nodes = ["a", "b", "c", "d"].map((id) => view(id));
  const homes = new Map<string, string>();
  for (let i = 0; i < 400; ++i) homes.set(`s${i}`, picked(nodes, { session: `s${i}` }));
  const counts = nodes.map(({ id }) => [...homes.values()].filter((home) => home === id).length);
  assert.ok(counts.every((count) => count > 60 && count < 140), counts.join());
  const left = nodes.filter(({ id }) => id !== "c");
  for (const [session, home] of homes) {
    if (home !== "c") assert.equal(picked(left, { session }), home);
  }
  const home = homes.get("s0")!;
  const busy = nodes.map((node) => node.id === home ? { ...node, activeCount: 8 } : node);
  assert.notEqual(picked(busy, { session: "s0" }), home);
});

Deno.test("PrefixIndex assumes what is on its way, and believes the node in the end", () => {
  const index = new PrefixIndex();
  index.reset("a", 4);
  const hashes = BigUint64Array.of(1n, 2n, 3n);
  index.assume("gone", hashes);
  index.assume("a", hashes);
  assert.equal(index.matched("a", hashes), 3);
  index.correct("a", hashes, 3, 1);
  assert.equal(index.matched("a", hashes), 1);
  index.correct("a", hashes, 1, 3);
  assert.equal(index.matched("a", hashes), 1);
  index.assume("a", BigUint64Array.of(4n, 5n, 6n, 7n, 8n));
  assert.equal(index.blockCount("a"), 4);
});
