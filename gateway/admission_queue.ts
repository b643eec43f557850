/** Requests that wait for a node: the highest priority first, tenants in turn by what they ask for,
 * and when it is full, whoever asks for most than its share is turned away. Pure. @module */
import { assert } from "../proto/assert.ts";

/** What the queue knows of a request. */
export interface Waiting {
  readonly tenant: string;
  readonly priority: number;
  /** Work that it asks for, in tokens. */
  readonly cost: number;
}

/** One tenant's requests of one priority, oldest first. */
interface Lane<T> {
  readonly tenant: string;
  readonly items: Set<T>;
  /** Where it stands in its class's virtual time: lanes behind go first. */
  tag: number;
}

/** Requests of one priority. Start-time fair queueing: a lane's tag grows by what was taken from
 * it, and a lane that idled begins where the class stands, so that idling saves nothing up. */
class PriorityClass<T extends Waiting> {
  readonly lanes = new Map<string, Lane<T>>();
  /** Tags of lanes that emptied ahead of the clock: who asks one by one has its turns counted. */
  readonly #ahead = new Map<string, number>();
  #clock = 0;

  constructor(readonly priority: number) {}

  push(item: T): void {
    let lane = this.lanes.get(item.tenant);
    if (lane === undefined) {
      const tag = Math.max(this.#clock, this.#ahead.get(item.tenant) ?? 0);
      lane = { tenant: item.tenant, items: new Set(), tag };
      this.lanes.set(item.tenant, lane);
    }
    lane.items.add(item);
  }

  peek(): T {
    let [first] = this.lanes.values();
    for (const lane of this.lanes.values()) if (lane.tag < first!.tag) first = lane;
    return oldestOf(first!);
  }

  /** What `peek()` gave has been taken. */
  served(item: T): void {
    const lane = this.lanes.get(item.tenant)!;
    this.#clock = Math.max(this.#clock, lane.tag);
    lane.tag += Math.max(1, item.cost);
    this.remove(item);
    if (lane.items.size === 0) this.#ahead.set(lane.tenant, lane.tag);
    for (const [tenant, tag] of this.#ahead) {
      if (tag <= this.#clock) this.#ahead.delete(tenant);
    }
  }

  remove(item: T): boolean {
    const lane = this.lanes.get(item.tenant);
    if (lane === undefined || !lane.items.delete(item)) return false;
    if (lane.items.size === 0) this.lanes.delete(item.tenant);
    return true;
  }

  longest(): Lane<T> {
    let [most] = this.lanes.values();
    for (const lane of this.lanes.values()) if (lane.items.size > most!.items.size) most = lane;
    return most!;
  }
}

function oldestOf<T>(lane: Lane<T>): T {
  for (const item of lane.items) return item;
  throw new Error("a lane is dropped when it is empty");
}

function newestOf<T>(lane: Lane<T>): T {
  return [...lane.items].at(-1)!;
}

export class AdmissionQueue<T extends Waiting> {
  /** Highest priority first. */
  readonly #classes: Array<PriorityClass<T>> = [];
  #size = 0;

  constructor(readonly sizeMax: number) {}

  get size(): number {
    return this.#size;
  }

  /** @returns Whoever must go because the queue was full, which may be `item` itself. */
  push(item: T): T | undefined {
    if (this.sizeMax === 0) return item;
    const shed = this.#size < this.sizeMax ? undefined : this.#victim(item);
    if (shed === item) return item;
    if (shed !== undefined) assert(this.remove(shed), "who is shed was waiting");
    this.#classOf(item.priority).push(item);
    ++this.#size;
    return shed;
  }

  /** Whether all who wait come before `item`: only then does the queue's length say how long it
   * would wait. */
  isLast(item: T): boolean {
    let ownCount = 0;
    const tenants = new Set([item.tenant]);
    for (const other of this) {
      if (other.priority < item.priority) return false;
      tenants.add(other.tenant);
      if (other.tenant === item.tenant) ++ownCount;
    }
    return (ownCount + 1) * tenants.size > this.#size;
  }

  /** Whose turn it is. */
  peek(): T | undefined {
    return this.#classes[0]?.peek();
  }

  /** Takes what `peek()` gave. */
  take(): T | undefined {
    const first = this.#classes[0];
    if (first === undefined) return undefined;
    const item = first.peek();
    first.served(item);
    this.#removed(first);
    return item;
  }

  remove(item: T): boolean {
    const found = this.#classes.find((each) => each.priority === item.priority);
    if (found === undefined || !found.remove(item)) return false;
    this.#removed(found);
    return true;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const each of this.#classes) {
      for (const lane of each.lanes.values()) yield* lane.items;
    }
  }

  #removed(from: PriorityClass<T>): void {
    --this.#size;
    if (from.lanes.size === 0) this.#classes.splice(this.#classes.indexOf(from), 1);
  }

  #classOf(priority: number): PriorityClass<T> {
    let index = this.#classes.findIndex((each) => each.priority <= priority);
    if (index < 0) index = this.#classes.length;
    if (this.#classes[index]?.priority !== priority) {
      this.#classes.splice(index, 0, new PriorityClass(priority));
    }
    return this.#classes[index]!;
  }

  /** Of the lowest priority, the newest of the tenant that has most waiting; the newcomer, unless
   * it is above that or would have fewer waiting than that tenant. */
  #victim(item: T): T {
    const lowest = this.#classes.at(-1);
    if (lowest === undefined || lowest.priority > item.priority) return item;
    const longest = lowest.longest();
    if (lowest.priority === item.priority) {
      const own = lowest.lanes.get(item.tenant)?.items.size ?? 0;
      if (longest.items.size <= own + 1) return item;
    }
    return newestOf(longest);
  }
}

/** How fast a queue moves, while there is one: an average over seconds, without the bias of its
 * beginning. */
export class DrainRate {
  #weight = 0;
  #at: number;
  readonly #since: number;
  #count = 0;

  /** @param now When the queue began to fill. */
  constructor(now: number) {
    this.#at = this.#since = now;
  }

  taken(now: number): void {
    this.#weight = this.#weight * this.#decay(now) + 1;
    this.#at = now;
    ++this.#count;
  }

  /** Requests a second; `undefined` while too little has been seen. */
  perSecond(now: number): number | undefined {
    const seconds = (now - this.#since) / 1000;
    if (this.#count < COUNT_LEAST || seconds < SECONDS_LEAST) return undefined;
    const span = RATE_SECONDS * (1 - Math.exp(-seconds / RATE_SECONDS));
    return this.#weight * this.#decay(now) / span;
  }

  #decay(now: number): number {
    return Math.exp(-(now - this.#at) / 1000 / RATE_SECONDS);
  }
}

const RATE_SECONDS = 10;
const COUNT_LEAST = 5;
const SECONDS_LEAST = 1;
