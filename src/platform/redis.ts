import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';

export type RedisArgument = string | Buffer | number;

/** Redis cannot be used at the moment: not connected, too slow, or too much is waiting for it already. */
export class RedisAway extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RedisAway';
  }
}

/** A script that runs on the server as one step. */
export type RedisScript = (keys: readonly string[], args: readonly RedisArgument[]) => Promise<unknown>;

/** A connection for commands and one for messages, both kept up. Nothing is queued while there is no connection. */
export interface RedisLink {
  /** @returns the reply, strings as Buffers. @throws RedisAway within the time limit; what else Redis refuses as it says it. */
  command(name: string, ...args: RedisArgument[]): Promise<unknown>;
  /** @param lua its text; sent once, then named by its hash. */
  script(lua: string): RedisScript;
  /**
   * Hears messages of all instances, those of this one too. Called before `start`.
   * @param onHearing called with true from when each message is heard, with false when some may be missed.
   */
  subscribe(
    channel: string,
    onMessage: (message: string) => void,
    onHearing: (hearing: boolean) => void,
  ): void;
  /** Whether a command may be tried. */
  readonly connected: boolean;
  /** Called after each connection that is ready for commands. Called before `start`. */
  onConnected(listener: () => void): void;
  /** Waits for the first connection for `startMs` at most: Redis that is away keeps nobody from starting. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface RedisLinkDependencies {
  /** `redis://` or `rediss://`, with user and password if need be. Shown to nobody. */
  readonly url: string;
  readonly clock: Pick<Clock, 'monotonicMs' | 'sleep'>;
  readonly log: Log;
  /** How long a command may take, milliseconds; absent: 50. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 50;
const startMs = 2_000;
const connectTimeoutMs = 2_000;
/** A server that says nothing for so long while it was asked is taken for dead, and connected to anew. */
const silenceMs = 1_000;
const pingMs = 500;
const firstRetryMs = 50;
const lastRetryMs = 1_000;
/** Commands under way; beyond, Redis is too far behind for one more to make sense. */
const maxPending = 10_000;
/** After so many commands in a row that came to nothing, none is tried for a moment, so that callers do not wait in vain. */
const failuresBeforePause = 3;
const pauseMs = 250;

export function createRedis(deps: RedisLinkDependencies): RedisLink {
  const { clock } = deps;
  const timeoutMs = deps.timeoutMs ?? defaultTimeoutMs;
  const commands = connectionTo(deps);
  const messages = connectionTo(deps);
  const subscriptions: {
    channel: string;
    onMessage: (message: string) => void;
    onHearing: (hearing: boolean) => void;
  }[] = [];
  const connectedListeners: (() => void)[] = [];
  const stopping = new AbortController();
  let pinging: Promise<void> = Promise.resolve();
  let pending = 0;
  let failuresInARow = 0;
  let pausedUntilMs = 0;
  let hearing = false;

  const sayHearing = (now: boolean) => {
    if (now === hearing) return;
    hearing = now;
    for (const { onHearing } of subscriptions) onHearing(now);
  };

  const isPaused = () => clock.monotonicMs() < pausedUntilMs;

  const send = (name: string, args: readonly RedisArgument[]): Promise<unknown> => {
    if (commands.status !== 'ready') return Promise.reject(new RedisAway('Redis is not connected.'));
    if (isPaused()) return Promise.reject(new RedisAway('Redis did not answer lately.'));
    if (pending >= maxPending) return Promise.reject(new RedisAway('Too many commands wait for Redis.'));
    pending++;
    return withinTime(commands.callBuffer(name, ...args), timeoutMs, () => pending--).then(
      (reply) => {
        failuresInARow = 0;
        return reply;
      },
      (error) => {
        // What Redis itself refuses is an answer; everything else means that there was none.
        if (isReplyError(error)) {
          if (!notNow.test(error.message)) throw error;
        } else if (++failuresInARow >= failuresBeforePause) {
          failuresInARow = 0;
          pausedUntilMs = clock.monotonicMs() + pauseMs;
        }
        throw new RedisAway('Redis did not answer.', error);
      },
    );
  };

  commands.on('ready', () => {
    failuresInARow = 0;
    pausedUntilMs = 0;
    for (const listener of connectedListeners) listener();
  });
  messages.on('ready', () => {
    if (subscriptions.length === 0) return;
    messages.subscribe(...subscriptions.map(({ channel }) => channel)).then(
      () => sayHearing(true),
      () => messages.disconnect(true),
    );
  });
  messages.on('close', () => sayHearing(false));
  messages.on('message', (channel: string, message: string) => {
    for (const subscription of subscriptions)
      if (subscription.channel === channel) subscription.onMessage(message);
  });

  /** Finds out that a server has gone silent, also when nobody asks it anything. */
  const keepAsking = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await clock.sleep(pingMs, stopping.signal).catch(() => {});
      for (const connection of [commands, messages]) {
        if (connection.status === 'ready') connection.ping().catch(() => {});
      }
    }
  };

  return {
    command: (name, ...args) => send(name, args),
    script(lua) {
      const sha = createHash('sha1').update(lua).digest('hex');
      return async (keys, args) => {
        try {
          return await send('EVALSHA', [sha, keys.length, ...keys, ...args]);
        } catch (error) {
          if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
          return send('EVAL', [lua, keys.length, ...keys, ...args]);
        }
      };
    },
    subscribe(channel, onMessage, onHearing) {
      subscriptions.push({ channel, onMessage, onHearing });
    },
    get connected() {
      return commands.status === 'ready' && !isPaused();
    },
    onConnected(listener) {
      connectedListeners.push(listener);
    },
    async start() {
      const patience = new AbortController();
      const connecting = Promise.allSettled([commands.connect(), messages.connect()]);
      await Promise.race([connecting, clock.sleep(startMs, patience.signal).catch(() => {})]);
      patience.abort();
      pinging = keepAsking();
    },
    async stop() {
      stopping.abort();
      commands.disconnect();
      messages.disconnect();
      await pinging;
    },
  };
}

/** Redis says that it cannot serve at the moment, which is no fault of the command. */
const notNow = /^(?:LOADING|MASTERDOWN|READONLY|CLUSTERDOWN|TRYAGAIN|OOM|BUSY|MISCONF)/;

function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/**
 * Ends the waiting when the time is up. Not before what has arrived was read: while this process is busy, replies wait
 * in the socket, and a quick Redis would be taken for a slow one.
 * @param onReply called when there is a reply after all, however late.
 */
function withinTime(reply: Promise<unknown>, ms: number, onReply: () => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      setImmediate(() => reject(new RedisAway(`Redis took longer than ${ms} ms.`)));
    }, ms);
    reply.then(resolve, reject).finally(() => {
      clearTimeout(timer);
      onReply();
    });
  });
}

function connectionTo({ url, log }: RedisLinkDependencies): Redis {
  const redis = new Redis(url, {
    // Replies of one shape, whatever the server would rather speak.
    protocol: 2,
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // Done when it is ready, so that it is known from when on messages are heard.
    autoResubscribe: false,
    connectTimeout: connectTimeoutMs,
    socketTimeout: silenceMs,
    retryStrategy: (attempt) => Math.min(lastRetryMs, firstRetryMs * 2 ** Math.min(attempt, 10)),
  });
  let wasReady: boolean | null = null;
  redis.on('ready', () => {
    if (wasReady === false) log.info('Redis is back');
    wasReady = true;
  });
  // The error itself may hold the command that failed, and with it the password: its message and code tell enough.
  redis.on('error', (error: Error & { code?: string }) => {
    if (wasReady === false) return;
    wasReady = false;
    log.warn(
      { reason: withoutPassword(error.message), code: error.code },
      'Redis is away; what uses it goes on without it',
    );
  });
  return redis;
}

/** Addresses in messages may be URLs. */
export function withoutPassword(text: string): string {
  return text.replace(/(rediss?:\/\/)[^@\s/]*@/g, '$1');
}
