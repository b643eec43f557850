/** Limits that hold over all gateways of one Redis: counted there, in one script an admission, so
 * that no two can take the same room. While Redis is away, this process counts alone. @module */
import type { Admitted, Hold, LimitStore } from "./limit_store.ts";
import {
  type KeyLimits,
  type LimitName,
  type LimitStates,
  msToNextPeriod,
  periodOf,
  type Refusal,
} from "./limits.ts";
import { type RedisStore, StoreError } from "./redis_store.ts";

/** As `KeyMeter`, of whose rules this is a copy in Lua; one test runs both through the same story.
 * Nothing is taken under a lease that has ended.
 * KEYS: the key's counts, its budget. ARGV: lease, tokens, and the limits, -1 for none.
 * Fields: r/t and a second: requests and tokens of it; f/v and a lease: in flight, reserved. */
const ADMIT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local second = tonumber(time[1])
local lease, tokens = ARGV[1], tonumber(ARGV[2])
if redis.call('EXISTS', 'redraft:lease:' .. lease) == 0 then return { 'lease' } end
local requests_max, tokens_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local in_flight_max, budget_max = tonumber(ARGV[5]), tonumber(ARGV[6])
local amounts = { r = {}, t = {} }
local sums = { r = 0, t = 0, f = 0, v = 0 }
local stale, alive = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local kind, name, amount = flat[i]:sub(1, 1), flat[i]:sub(2), tonumber(flat[i + 1])
  if kind == 'r' or kind == 't' then
    if tonumber(name) <= second - 61 then stale[#stale + 1] = flat[i]
    else amounts[kind][tonumber(name)] = amount; sums[kind] = sums[kind] + amount end
  else
    if alive[name] == nil then alive[name] = redis.call('EXISTS', 'redraft:lease:' .. name) == 1 end
    if alive[name] then sums[kind] = sums[kind] + amount else stale[#stale + 1] = flat[i] end
  end
end
if #stale > 0 then redis.call('HDEL', KEYS[1], unpack(stale)) end
local function until_at_most(kind, most)
  local sum = sums[kind]
  if sum <= most then return 0 end
  for at = second - 60, second do
    sum = sum - (amounts[kind][at] or 0)
    if sum <= most then return (at + 61) * 1000 - now end
  end
  return (second + 61) * 1000 - now
end
local what, retry = '', 0
local function refuse(name, ms) if what == '' then what = name; retry = ms end end
local is_over = tokens_max >= 0 and tokens > tokens_max
if is_over or (budget_max >= 0 and tokens > budget_max) then refuse('request_size', 0) end
if in_flight_max >= 0 and sums.f >= in_flight_max then refuse('in_flight', 1000) end
local budget_used = 0
if budget_max >= 0 then
  budget_used = tonumber(redis.call('GET', KEYS[2]) or '0') + sums.v
  if budget_used + tokens > budget_max then refuse('budget', -1) end
end
if requests_max >= 0 and sums.r + 1 > requests_max then
  refuse('requests', until_at_most('r', requests_max - 1))
end
if tokens_max >= 0 and sums.t + sums.v + tokens > tokens_max then
  local room = tokens_max - sums.v - tokens
  local wait = 1000
  if room >= 0 then wait = math.max(1000, until_at_most('t', room)) end
  refuse('tokens', wait)
end
if what == '' then
  redis.call('HINCRBY', KEYS[1], 'r' .. second, 1)
  redis.call('HINCRBY', KEYS[1], 'f' .. lease, 1)
  if tokens > 0 then redis.call('HINCRBY', KEYS[1], 'v' .. lease, tokens) end
  redis.call('PEXPIRE', KEYS[1], 86400000)
  amounts.r[second] = (amounts.r[second] or 0) + 1
  sums.r = sums.r + 1
  sums.v = sums.v + tokens
end
return { what, retry, requests_max - sums.r, until_at_most('r', 0),
  tokens_max - sums.t - sums.v, until_at_most('t', 0), budget_used }
`;

/** What was held under a lease that has ended was given back with it: once more would be room that
 * nobody had. KEYS as above. ARGV: lease; reserved and requests, which are given back, or taken
 * where they are below zero; used. */
const SETTLE = `
local second = redis.call('TIME')[1]
local reserved, ended, used = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if redis.call('EXISTS', 'redraft:lease:' .. ARGV[1]) == 1 then
  if reserved ~= 0 then redis.call('HINCRBY', KEYS[1], 'v' .. ARGV[1], -reserved) end
  if ended ~= 0 then redis.call('HINCRBY', KEYS[1], 'f' .. ARGV[1], -ended) end
end
if used > 0 then
  redis.call('HINCRBY', KEYS[1], 't' .. second, used)
  redis.call('INCRBY', KEYS[2], used)
  redis.call('PEXPIRE', KEYS[2], 2764800000)
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return 1
`;

type Keys = readonly [counts: string, budget: string];

interface Settlement {
  lease: string;
  keys: Keys;
  /** Tokens and requests that are given back; below zero, taken. */
  reserved: number;
  ended: number;
  used: number;
}

export class RedisLimits implements LimitStore {
  readonly #holds = new Set<RedisHold>();
  /** What Redis has not been told, by lease and keys. */
  readonly #owed = new Map<string, Settlement>();

  constructor(
    readonly redis: RedisStore,
    /** Counts while Redis is away. */
    readonly local: LimitStore,
    readonly now: () => number,
  ) {
    redis.onUsable = () => this.#catchUp();
  }

  async admit(keyId: string, limits: KeyLimits, tokens: number): Promise<Admitted | Refusal> {
    const { lease } = this.redis;
    const decision = await this.#admitUnder(lease, keyId, limits, tokens);
    if (decision !== "lapsed") return decision;
    await this.redis.renew(lease);
    const again = await this.#admitUnder(this.redis.lease, keyId, limits, tokens);
    return again === "lapsed" ? await this.#admitHere(keyId, limits, tokens) : again;
  }

  async #admitUnder(
    lease: string,
    keyId: string,
    limits: KeyLimits,
    tokens: number,
  ): Promise<Admitted | Refusal | "lapsed"> {
    const most = [
      limits.requestsPerMinute,
      limits.tokensPerMinute,
      limits.inFlightMax,
      limits.budgetTokens,
    ];
    let reply: unknown;
    const keys = this.#keys(keyId, limits);
    const args = ["EVAL", ADMIT, "2", ...keys, lease, String(tokens)];
    args.push(...most.map((limit) => String(limit ?? -1)));
    // Admitted there when it had been counted here: nobody would ever give that back.
    const undo = (late: unknown) => {
      if ((late as [string])[0] !== "") return;
      this.settle({ lease, keys, reserved: tokens, ended: 1, used: 0 });
    };
    try {
      reply = await this.redis.ask(args, undo);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      return await this.#admitHere(keyId, limits, tokens);
    }
    const [what, retryMs, ...numbers] = reply as [string, number, ...number[]];
    if (what === "lease") return "lapsed";
    const states = statesOf(limits, numbers);
    if (what === "") {
      const hold = new RedisHold(this, keys, lease, tokens, () => this.#holds.delete(hold));
      this.#holds.add(hold);
      hold.moveTo(this.redis.lease); // It may be another since.
      return { kind: "admitted", states, hold };
    }
    if (what === "budget") {
      const waitMs = msToNextPeriod(limits.budgetPeriod, this.now());
      return { kind: "refused", what, retryMs: waitMs, states, budgetUsed: numbers[4]! };
    }
    return { kind: "refused", what: what as LimitName, retryMs, states };
  }

  /** What is used of it counts in Redis as soon as that can be reached. */
  async #admitHere(
    keyId: string,
    limits: KeyLimits,
    tokens: number,
  ): Promise<Admitted | Refusal> {
    const decision = await this.local.admit(keyId, limits, tokens);
    if (decision.kind === "refused") return decision;
    const { hold } = decision;
    const keys = this.#keys(keyId, limits);
    const settle = (reserved: number, used: number) => {
      hold.settle(reserved, used);
      if (used === 0) return;
      this.settle({ lease: this.redis.lease, keys, reserved: 0, ended: 0, used });
    };
    return { ...decision, hold: { settle, release: () => hold.release() } };
  }

  retain(keyIds: ReadonlySet<string>): void {
    this.local.retain(keyIds);
  }

  /** Of what may have been carried out as the connection broke, nobody knows; it is not sent again,
   * lest tokens be charged twice. */
  settle(settlement: Settlement): void {
    const { lease, keys, reserved, ended, used } = settlement;
    const numbers = [reserved, ended, used].map(String);
    this.redis.post(["EVAL", SETTLE, "2", ...keys, lease, ...numbers], () => {
      const name = [lease, ...keys].join(" ");
      const owed = this.#owed.get(name);
      this.#owed.set(name, {
        lease,
        keys,
        reserved: (owed?.reserved ?? 0) + reserved,
        ended: (owed?.ended ?? 0) + ended,
        used: (owed?.used ?? 0) + used,
      });
    });
  }

  /** Redis is back, or our lease is another one: what runs still holds its room. */
  #catchUp(): void {
    for (const hold of this.#holds) hold.moveTo(this.redis.lease);
    const owed = [...this.#owed.values()];
    this.#owed.clear();
    for (const settlement of owed) this.settle(settlement);
  }

  #keys(keyId: string, limits: KeyLimits): Keys {
    const period = periodOf(limits.budgetPeriod, this.now());
    return [`redraft:limits:${keyId}`, `redraft:budget:${keyId}:${period}`];
  }
}

/** One request's room, under one lease after the other. */
class RedisHold implements Hold {
  constructor(
    readonly limits: RedisLimits,
    readonly keys: Keys,
    private lease: string,
    private reserved: number,
    readonly onDone: () => void,
  ) {}

  #inFlight = 1;

  settle(reserved: number, used: number): void {
    this.reserved -= reserved;
    this.#tell(reserved, 0, used);
    this.#checkDone();
  }

  release(): void {
    this.#inFlight = 0;
    this.#tell(0, 1, 0);
    this.#checkDone();
  }

  moveTo(lease: string): void {
    if (lease === this.lease) return;
    this.lease = lease;
    this.#tell(-this.reserved, -this.#inFlight, 0);
  }

  /** A generation that others share may outlast the request that began it. */
  #checkDone(): void {
    if (this.#inFlight === 0 && this.reserved === 0) this.onDone();
  }

  #tell(reserved: number, ended: number, used: number): void {
    const { lease, keys } = this;
    this.limits.settle({ lease, keys, reserved, ended, used });
  }
}

function statesOf(limits: KeyLimits, numbers: readonly number[]): LimitStates {
  const [requestsLeft, requestsResetMs, tokensLeft, tokensResetMs] = numbers;
  const state = (limit: number | undefined, remaining: number, resetMs: number) =>
    limit === undefined ? undefined : { limit, remaining: Math.max(0, remaining), resetMs };
  const requests = state(limits.requestsPerMinute, requestsLeft!, requestsResetMs!);
  const tokens = state(limits.tokensPerMinute, tokensLeft!, tokensResetMs!);
  return { ...(requests && { requests }), ...(tokens && { tokens }) };
}
