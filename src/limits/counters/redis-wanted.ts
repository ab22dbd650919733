import { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import type { RedisLink } from '../../platform/redis.ts';

const channel = 'gatehouse:budgets-wanted';
/** A budget is asked for once in so long, however many calls wait for it. */
const againMs = 200;
const askedAtMost = 10_000;

const message = z.object({
  from: z.string(),
  group: z.string().max(300),
  counters: z.array(z.string().max(300)).max(64),
});

export interface WantedDependencies {
  readonly redis: Pick<RedisLink, 'command' | 'subscribe'>;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly writer: string;
  /** Tells Redis what this process spent on these. @returns those of which it does not know. */
  readonly tell: (group: string, counters: readonly string[]) => readonly string[];
}

/**
 * A budget is known when every process has told what it spent. One that has no calls of it does not notice that it is
 * waited for, so whoever waits asks all.
 */
export function createWanted({ redis, clock, writer, tell }: WantedDependencies) {
  const listeners: ((group: string, counters: readonly string[]) => void)[] = [];
  const asked = new Map<string, number>();

  redis.subscribe(
    channel,
    (text) => {
      const read = message.safeParse(parsed(text));
      if (!read.success || read.data.from === writer) return;
      const { group, counters } = read.data;
      const unknown = tell(group, counters);
      if (unknown.length > 0) for (const listener of listeners) listener(group, unknown);
    },
    // Who still waits asks again.
    () => {},
  );

  return {
    ask(group: string, counters: readonly string[]): void {
      const nowMs = clock.monotonicMs();
      const due = counters.filter(
        (counter) => (asked.get(counter) ?? Number.NEGATIVE_INFINITY) + againMs <= nowMs,
      );
      if (due.length === 0) return;
      if (asked.size + due.length > askedAtMost) asked.clear();
      for (const counter of due) asked.set(counter, nowMs);
      const text = JSON.stringify({ from: writer, group, counters: due });
      redis.command('PUBLISH', channel, text).catch(() => {});
    },
    listen(listener: (group: string, counters: readonly string[]) => void): void {
      listeners.push(listener);
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
