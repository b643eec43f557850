/** The nodes, the models they serve, and where a request should go. @module */
import type { ModelCard } from "../proto/frame_types.ts";
import type { Log } from "./log.ts";
import { NodeLink } from "./node_link.ts";
import { type NodeView, type Pick, pickNode } from "./pick_node.ts";
import { PrefixIndex } from "./prefix_index.ts";
import type { LoadModel, ServedModel } from "./served_model.ts";

export const NODES_MAX = 256;
/** Models known by name, those whose nodes are all away included. */
const MODELS_MAX = 64;

/** Of its slots, so many may wait on a node besides: enough that a free slot never idles. The rest
 * waits here, where priorities and tenants' turns count over all nodes. */
const NODE_QUEUE_SHARE = 0.25;

export interface NodePoolOptions {
  urls: readonly string[];
  token: string | undefined;
  gatewayId: string;
  loadModel: LoadModel;
  log: Log;
  now: () => number;
  random: () => number;
}

/** What a pick knows of a request. */
export interface PickRequest {
  readonly model: ServedModel;
  readonly blocks: BigUint64Array;
  readonly session: string | undefined;
  /** The only node that may take it, by its place in `links`; `undefined`: any. */
  readonly nodeIndex: number | undefined;
  /** The only one that may take it; `undefined`: any. */
  readonly backend: string | undefined;
  excludes(link: NodeLink): boolean;
}

export type LinkPick = { kind: "node"; link: NodeLink } | { kind: "full" } | { kind: "none" };

export class NodePool {
  readonly links: readonly NodeLink[];
  readonly prefixes = new PrefixIndex();
  /** Called whenever a node may have room for more. */
  onCapacity: () => void = () => {};
  readonly #options: NodePoolOptions;
  readonly #models = new Map<string, ServedModel>();

  constructor(options: NodePoolOptions) {
    if (options.urls.length > NODES_MAX) {
      throw new RangeError(`Cannot hold over ${NODES_MAX} nodes`);
    }
    this.#options = options;
    this.links = options.urls.map((url) => this.#link(url));
  }

  get models(): Iterable<ServedModel> {
    return this.#models.values();
  }

  get readyCount(): number {
    return this.links.filter((link) => link.state === "ready").length;
  }

  /** A model that a node served at some time; whether one serves it now, `pick()` says. */
  model(id: string): ServedModel | undefined {
    return this.#models.get(id);
  }

  pick(request: PickRequest): LinkPick {
    const { model, blocks, backend, session } = request;
    const byId = new Map<string, NodeLink>();
    const views: NodeView[] = [];
    for (const link of this.#named(request)) {
      if (link.model?.card.digest !== model.card.digest) continue;
      if (backend !== undefined && link.welcome?.backend !== backend) continue;
      byId.set(link.url, link);
      views.push(this.#view(link, blocks, request));
    }
    const pick: Pick = pickNode(views, {
      blockCount: blocks.length,
      ...(session === undefined ? {} : { session }),
      random: this.#options.random,
    });
    return pick.kind === "node" ? { kind: "node", link: byId.get(pick.node.id)! } : pick;
  }

  /** Whether a node is away that could take the request when it comes back. */
  isAwaited(request: PickRequest): boolean {
    const { digest } = request.model.card;
    return this.#named(request).some(({ state, model }) =>
      state !== "ready" && state !== "closed" &&
      (model === undefined || model.card.digest === digest)
    );
  }

  close(): void {
    for (const link of this.links) link.close();
  }

  #named({ nodeIndex }: PickRequest): readonly NodeLink[] {
    return nodeIndex === undefined ? this.links : this.links.slice(nodeIndex, nodeIndex + 1);
  }

  #view(link: NodeLink, blocks: BigUint64Array, request: PickRequest): NodeView {
    const welcome = link.welcome!;
    const pagesFree = link.status?.pagesFree ?? welcome.pagesMax;
    return {
      id: link.url,
      usable: link.usable && !request.excludes(link),
      suspect: link.circuit.isSuspect(this.#options.now()),
      slotsMax: welcome.slotsMax,
      queueMax: Math.min(welcome.queueMax, Math.ceil(welcome.slotsMax * NODE_QUEUE_SHARE)),
      activeCount: link.activeCount,
      contextTokensWaiting: link.status?.contextTokensWaiting ?? 0,
      tokensPerStep: link.status?.tokensPerStep ?? 0,
      pagesUsed: 1 - Math.min(pagesFree / welcome.pagesMax, 1),
      matchedCount: this.prefixes.matched(link.url, blocks),
      pickedCount: link.pickedCount,
    };
  }

  #link(url: string): NodeLink {
    const { token, gatewayId, now, random, log } = this.#options;
    return new NodeLink({
      url,
      token,
      gatewayId,
      now,
      random,
      knownModel: (card) => this.#known(card),
      loadModel: this.#options.loadModel,
      onReady: (link, model) => {
        this.#adopt(link, model);
        this.prefixes.reset(url, link.welcome!.pagesMax);
        log.write("info", "node.ready", { node: url, model: model.card.id });
      },
      onStatus: (_, status) => this.prefixes.apply(url, status.blocksStored, status.blocksRemoved),
      onCapacity: () => this.onCapacity(),
      onDown: (_, reason) => {
        this.prefixes.drop(url);
        log.write("warn", "node.down", { node: url, reason });
      },
    });
  }

  #known(card: ModelCard): ServedModel | undefined {
    const model = this.#models.get(card.id);
    const same = model !== undefined && model.card.digest === card.digest &&
      model.card.tokenizerDigest === card.tokenizerDigest;
    return same ? model : undefined;
  }

  /** One name, one model: a node that serves another file by a name in use is kept out, or a client
   * would get now this model's answers and now that one's. */
  #adopt(link: NodeLink, model: ServedModel): void {
    const { id, digest } = model.card;
    const held = this.#models.get(id);
    if (held === model) return;
    const others = this.links?.some((other) =>
      other !== link && other.state === "ready" && other.model?.card.id === id &&
      other.model.card.digest !== digest
    );
    if (others) throw new Error(`Cannot use node: its ${id} is another file than the other nodes'`);
    if (held === undefined && this.#models.size >= MODELS_MAX) {
      throw new Error(`Cannot use node: over ${MODELS_MAX} models`);
    }
    if (held === undefined || held.card.digest !== digest) this.#models.set(id, model);
  }
}
