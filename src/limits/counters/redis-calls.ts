import type { RedisArgument, RedisLink, RedisScript } from '../../platform/redis.ts';
import { RedisAway } from '../../platform/redis.ts';
import type { Demand } from './counters.ts';
import type { Group, Push, Settled } from './redis-group.ts';
import type { Reach } from './redis-reach.ts';
import {
  admitScript,
  establishScript,
  forgetScript,
  pushScript,
  renewScript,
  settleScript,
} from './redis-scripts.ts';
import { encodeDemands, type Raw, readRaw } from './redis-wire.ts';

/** All that is ever run; loaded on each connection. */
export const scripts = [admitScript, settleScript, renewScript, pushScript, establishScript, forgetScript];

/** Redis has another memory of this group than the one this process knows: it was emptied, or another took its place. */
export class MemoryLost extends Error {}

export interface CallsDependencies {
  readonly redis: Pick<RedisLink, 'script'>;
  readonly reach: Reach;
  readonly writer: string;
  /** The time that scripts go by; absent: Redis' own. Tests drive it. */
  readonly now?: (() => number) | undefined;
}

/** Kept at least, milliseconds: longer than any recovery. */
const leastNeedMs = 600_000;

/**
 * Runs scripts on one group. What is sent first is done first; what was sent on an earlier connection and arrives after
 * something from a later one is not done at all.
 * @returns replies as the scripts describe them. All throw MemoryLost, RedisAway, or what Redis refuses.
 */
export function createCalls({ redis, reach, writer, now }: CallsDependencies) {
  const [admit, settle, renew, push, establish, forget] = scripts.map((lua) => redis.script(lua)) as [
    RedisScript,
    RedisScript,
    RedisScript,
    RedisScript,
    RedisScript,
    RedisScript,
  ];
  let memories = 0;

  const run = async (script: RedisScript, group: Group, needMs: number, args: RedisArgument[]) => {
    const given = now === undefined ? '' : now();
    const fresh = group.memory === '' || group.lost ? `${writer}.${++memories}` : '';
    const head = [writer, reach.connection, group.memory, fresh, given, needMs];
    const reply = (await reach.guard(script([group.key], [...head, ...args]))) as unknown[];
    if (reply[0] === -1) {
      group.lost = true;
      throw new MemoryLost();
    }
    if (reply[0] === -2) throw new RedisAway('What was sent came too late.');
    if (group.memory === '') group.memory = String(reply[2]);
    return reply;
  };

  return {
    admit: (group: Group, needMs: number, args: RedisArgument[]) => run(admit, group, needMs, args),
    /** Looks at counters, and remembers what was seen. */
    async look(group: Group, demands: readonly Demand[]): Promise<{ raws: Raw[]; atMs: number }> {
      const reply = await run(admit, group, 0, [0, '', 0, '', encodeDemands(demands, false)]);
      const raws = readRaw(demands, reply);
      const atMs = reply[1] as number;
      group.see(demands, raws, atMs);
      return { raws, atMs };
    },
    settle: (
      group: Group,
      settled: readonly Settled[],
      own: readonly (readonly [string, number, number])[],
    ) => run(settle, group, leastNeedMs, [JSON.stringify(settled), JSON.stringify(own)]),
    /** @returns the ids that Redis does not hold and that came without what they hold. */
    async renew(group: Group, items: readonly (readonly [id: string, record?: string])[]): Promise<string[]> {
      const reply = await run(renew, group, leastNeedMs, [JSON.stringify(items)]);
      return reply.slice(3).map(String);
    },
    /** @returns whether Redis had lost its memory of the group; then it has a new one. */
    async push(group: Group, { number, seen, ...told }: Push, withSeen: boolean): Promise<boolean> {
      const args = [number, JSON.stringify(told), withSeen ? JSON.stringify(seen) : ''];
      const reply = await run(push, group, leastNeedMs, args);
      group.memory = String(reply[2]);
      group.lost = false;
      return reply[3] === 1;
    },
    establish: (
      group: Group,
      counter: string,
      budget: { base: number; own: number; writers: readonly string[]; endsAtMs: number },
      needMs: number,
    ) =>
      run(establish, group, needMs, [
        counter,
        budget.base,
        budget.own,
        JSON.stringify(budget.writers),
        budget.endsAtMs,
      ]),
    forget: (group: Group, dead: string) => run(forget, group, leastNeedMs, [dead]),
  };
}

export type Calls = ReturnType<typeof createCalls>;
