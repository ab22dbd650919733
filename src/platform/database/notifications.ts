import pg from 'pg';
import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';

/** Hears what other instances (or this one) committed, by LISTEN/NOTIFY. */
export interface Notifications {
  /**
   * @param channel as named in the migration's trigger.
   * @param onMessage called with each payload.
   * @param onGap called when messages may have been missed: after each (re)connection, and every second while there is
   *   no connection, so that a snapshot is never older than about a second.
   */
  subscribe(channel: string, onMessage: (payload: string) => void, onGap: () => void): void;
  start(): Promise<void>;
  stop(): Promise<void>;
}

const retryMs = 1_000;

export function createNotifications(url: string, clock: Pick<Clock, 'sleep'>, log: Log): Notifications {
  const subscriptions: { channel: string; onMessage: (payload: string) => void; onGap: () => void }[] = [];
  const stopping = new AbortController();
  let client: pg.Client | null = null;
  let loop: Promise<void> = Promise.resolve();

  /** @returns the promise of the connection's end, in an object so that awaiting `connect` does not wait for it. */
  const connect = async (): Promise<{ ended: Promise<void> }> => {
    const fresh = new pg.Client({ connectionString: url, application_name: 'gatehouse notifications' });
    const ended = new Promise<void>((resolve) => {
      fresh.once('end', resolve);
      fresh.once('error', () => resolve());
    });
    fresh.on('error', (error) => log.warn({ err: error }, 'the notification connection was lost'));
    fresh.on('notification', ({ channel, payload }) => {
      for (const s of subscriptions) if (s.channel === channel) s.onMessage(payload ?? '');
    });
    await fresh.connect();
    for (const channel of new Set(subscriptions.map((s) => s.channel))) {
      await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
    }
    client = fresh;
    return { ended };
  };
  const gap = () => {
    for (const s of subscriptions) s.onGap();
  };

  const keepConnected = async (first: Promise<void>): Promise<void> => {
    let open = first;
    while (!stopping.signal.aborted) {
      await open;
      client = null;
      while (!stopping.signal.aborted && client === null) {
        gap();
        await clock.sleep(retryMs, stopping.signal).catch(() => {});
        if (stopping.signal.aborted) return;
        try {
          open = (await connect()).ended;
        } catch (error) {
          log.warn({ err: error }, 'no notification connection; polling instead');
        }
      }
      gap();
    }
  };

  return {
    subscribe: (channel, onMessage, onGap) => {
      subscriptions.push({ channel, onMessage, onGap });
    },
    async start() {
      const { ended } = await connect();
      loop = keepConnected(ended);
    },
    async stop() {
      stopping.abort();
      await client?.end().catch(() => {});
      await loop;
    },
  };
}
