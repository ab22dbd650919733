import { openConnection, requestBytes } from './connection.ts';
import { pause } from './until.ts';
import type { Ask, Kind } from './users-traffic.ts';

/** Someone who asks, waits for the answer, thinks, and asks again, on one connection. */
export interface User {
  /** Origin that is asked. */
  readonly url: string;
  /** What is asked next, and with whose key. */
  readonly next: () => { readonly ask: Ask; readonly key: string };
  readonly note: (reply: Reply) => void;
}

/** Times are milliseconds. */
export interface Reply {
  readonly kind: Kind;
  readonly status: number;
  /** When it was asked, by the performance clock. */
  readonly askedAt: number;
  readonly totalMs: number;
  readonly firstTokenMs: number;
  /** The last bytes that came: of a short reply all, of a long one its end. */
  readonly lastBytes: () => Buffer;
}

export interface Crowd {
  readonly users: readonly User[];
  readonly thinkMs: () => number;
  /** Users come one after another over this time. */
  readonly rampMs: number;
  /** Asked before each request; once true, a user who was answered leaves. */
  readonly isOver: () => boolean;
}

/** How long an answer is waited for once all is over. */
const drainMs = 60_000;
const overCheckMs = 100;
/** The status under which a broken connection is noted. */
export const brokenStatus = 0;

/** Lets everyone act until it is over. Resolves when the last has been answered. @throws Error after a minute of waiting. */
export async function runUsers(crowd: Crowd): Promise<void> {
  const thoughts = createThoughts();
  const everyone = Promise.all(
    crowd.users.map(async (user, index) => {
      await thoughts.think((index / crowd.users.length) * crowd.rampMs);
      await live(user, crowd, thoughts.think);
    }),
  );
  while (!crowd.isOver()) await Promise.race([pause(overCheckMs), everyone]);
  thoughts.end();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`Answers were still awaited ${drainMs / 1_000} s after the end.`);
    timer = setTimeout(reject, drainMs, error);
  });
  await Promise.race([everyone, late]).finally(() => clearTimeout(timer));
}

/** Pauses that all end when it is over. */
function createThoughts() {
  const thinking = new Set<() => void>();
  let isOver = false;
  return {
    think(ms: number): Promise<void> {
      if (isOver) return Promise.resolve();
      return new Promise((resolve) => {
        const done = (): void => {
          clearTimeout(timer);
          thinking.delete(done);
          resolve();
        };
        const timer = setTimeout(done, ms);
        thinking.add(done);
      });
    },
    end(): void {
      isOver = true;
      for (const done of [...thinking]) done();
    },
  };
}

async function live(
  user: User,
  { thinkMs, isOver }: Crowd,
  think: (ms: number) => Promise<void>,
): Promise<void> {
  let wake: (status: number) => void = () => {};
  let firstTokenAt = Number.NaN;
  let isBroken = false;
  const connection = await openConnection(user.url, {
    firstToken() {
      firstTokenAt = performance.now();
    },
    ended: (status) => wake(status),
    broke() {
      isBroken = true;
      wake(brokenStatus);
    },
  });
  while (!isOver() && !isBroken) {
    const { ask, key } = user.next();
    const headers = { authorization: `Bearer ${key}` };
    const bytes = requestBytes({ ...ask, url: user.url, headers });
    const askedAt = performance.now();
    const status = await new Promise<number>((resolve) => {
      wake = resolve;
      connection.send(bytes);
    });
    const totalMs = performance.now() - askedAt;
    const { lastBytes } = connection;
    user.note({ kind: ask.kind, status, askedAt, totalMs, firstTokenMs: firstTokenAt - askedAt, lastBytes });
    await think(thinkMs());
  }
  connection.close();
}
