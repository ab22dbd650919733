import type { Clock } from '../platform/clock.ts';
import type { Tx } from '../platform/database/database.ts';
import type { NewId } from '../platform/ids.ts';
import { wants } from './channel.ts';
import { cut } from './cut-text.ts';
import {
  channelsToldOf,
  type EventRow,
  eventIdOf,
  insertEvent,
  listeningChannels,
  queueDelivery,
} from './events.store.ts';
import type { NotificationEvent, Notify } from './notification-event.ts';

const maxTitle = 200;
const maxText = 4_000;
const maxKey = 300;
const maxKind = 100;
/** Of the facts, as JSON. With title and text a message stays below what Slack and PagerDuty take. */
const maxDataBytes = 16 * 1024;
const kindPattern = /^[a-z][a-z0-9_]*(\.[a-z0-9_]+)*$/;

export interface NotifyDependencies {
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
}

/** See `Notify`. */
export function createNotify({ clock, newId }: NotifyDependencies): Notify {
  return async (tx, tenantId, event) => {
    const now = clock.now();
    const resolves = event.resolves === undefined ? null : await eventIdOf(tx, tenantId, event.resolves);
    const row = rowOf(event, { id: newId(), tenantId, resolves, now });
    if (!(await insertEvent(tx, row))) return false;
    const channels =
      event.resolves === undefined
        ? await channelsThatWant(tx, tenantId, event)
        : await channelsToldOf(tx, tenantId, resolves);
    for (const channelId of channels) {
      await queueDelivery(tx, {
        id: newId(),
        tenantId,
        eventId: row.id,
        channelId,
        follows: resolves,
        at: now,
      });
    }
    return true;
  };
}

async function channelsThatWant(tx: Tx, tenantId: string, event: NotificationEvent): Promise<string[]> {
  const channels = await listeningChannels(tx, tenantId);
  return channels
    .filter((channel) => wants({ eventKinds: channel.event_kinds, minSeverity: channel.min_severity }, event))
    .map(({ id }) => id);
}

/** @throws Error when the event is out of bounds. */
export function rowOf(
  event: NotificationEvent,
  made: {
    readonly id: string;
    readonly tenantId: string;
    readonly resolves: string | null;
    readonly now: Date;
  },
): EventRow {
  const within = (what: string, text: string, most: number): string => {
    if (text.length < 1 || text.length > most) {
      throw new Error(`the ${what} of an event must have 1 to ${most} characters`);
    }
    return text;
  };
  if (!kindPattern.test(event.kind)) throw new Error(`${event.kind} is not a kind of event`);
  if (Buffer.byteLength(JSON.stringify(event.data)) > maxDataBytes) {
    throw new Error(`the data of an event must not take more than ${maxDataBytes} bytes`);
  }
  return {
    id: made.id,
    tenant_id: made.tenantId,
    dedupe_key: within('dedupe key', event.dedupeKey, maxKey),
    kind: within('kind', event.kind, maxKind),
    severity: event.severity,
    title: within('title', cut(event.title, maxTitle), maxTitle),
    text: cut(event.text, maxText),
    subject: within('subject', event.subject, maxKey),
    data: event.data,
    resolves: made.resolves,
    occurred_at: event.occurredAt,
    created_at: made.now,
  };
}
