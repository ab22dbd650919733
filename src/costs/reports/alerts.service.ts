import type { NotificationEvent, Notify } from '../../notifications/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { Page, PageCursor } from '../../platform/page.ts';
import type { AlertFound, AlertKind } from './alert.ts';
import type { AlertRow, AlertsStore, DueTenant } from './alerts.store.ts';
import { findAlerts } from './find-alerts.ts';
import type { ReportStore } from './report.store.ts';

export interface AlertsDependencies {
  readonly store: AlertsStore;
  readonly reports: ReportStore;
  /** Tells people, in the transaction that writes the alert. */
  readonly notify: Notify;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly log: Log;
}

export type Alerts = ReturnType<typeof createAlerts>;

/** Read at once; a round goes on until it has been with all. */
const tenantsAtOnce = 200;

export function createAlerts({ store, reports, notify, clock, newId, log }: AlertsDependencies) {
  async function look(due: DueTenant): Promise<void> {
    const reader = { tenantId: due.tenantId, readerTokens: [], tenant: { timeZone: due.timeZone } };
    const now = clock.now();
    const found = await findAlerts(reports, reader, await store.budgets(reader), now);
    const withIds = found.map((alert) => ({ ...alert, id: newId() }));
    await store.raise(due, withIds, now, (tx, alert) => notify(tx, due.tenantId, raisedEvent(alert, now)));
  }

  return {
    /**
     * Looks at all tenants with something new, each once, in the order of their ids: busy ones become due again all the
     * time, so going by when they did would leave some out for ever. What cannot be looked at now is due the next time.
     * @param signal ends the round between two tenants.
     */
    async lookAtDue(signal?: AbortSignal): Promise<void> {
      let last: string | null = null;
      do {
        const page: DueTenant[] = await store.due(last, tenantsAtOnce);
        for (const due of page) {
          if (signal?.aborted) return;
          await look(due).catch((err) =>
            log.warn({ err, tenant: due.tenantId }, 'the cost alerts of a tenant could not be looked at'),
          );
        }
        last = page.length === tenantsAtOnce ? (page.at(-1)?.tenantId ?? null) : null;
      } while (last !== null);
    },

    list: (
      scope: DatabaseScope,
      page: Page<PageCursor> & { kind: AlertKind | null; state: 'open' | 'acknowledged' | 'all' },
    ): Promise<AlertRow[]> => store.page(scope, page),

    /** Notes that somebody has seen it, and settles what was opened for it elsewhere. @throws AppError `not_found`. */
    async acknowledge(scope: DatabaseScope & { readonly keyId: string }, id: string): Promise<AlertRow> {
      const now = clock.now();
      const row = await store.acknowledge(scope, id, scope.keyId, now, (tx, alert) =>
        notify(tx, scope.tenantId, acknowledgedEvent(alert, scope.keyId, now)),
      );
      if (!row) throw notFound('alert');
      return row;
    },
  };
}

/** An event's subject has at most 300 characters; a model's name alone may have as many. */
const cutSubject = (subject: string) => subject.slice(0, 300);
const keyOfEvent = (dedupeKey: string) => `cost.alert:${dedupeKey}`;

function raisedEvent(alert: AlertFound & { readonly id: string }, occurredAt: Date): NotificationEvent {
  const { kind, severity, subject, title, text, data, dedupeKey, id } = alert;
  return {
    kind: `cost.alert.${kind}`,
    severity,
    dedupeKey: keyOfEvent(dedupeKey),
    title,
    text,
    subject: cutSubject(subject),
    occurredAt,
    data: { alert_id: id, ...data },
  };
}

function acknowledgedEvent(alert: AlertRow, by: string, occurredAt: Date): NotificationEvent {
  return {
    kind: 'cost.alert.acknowledged',
    severity: 'info',
    dedupeKey: `cost.alert.acknowledged:${alert.id}`,
    title: `Acknowledged: ${alert.title}`,
    text: `Somebody has seen it: the key ${by}.`,
    subject: cutSubject(alert.subject),
    occurredAt,
    data: { alert_id: alert.id, acknowledged_by: by },
    resolves: keyOfEvent(alert.dedupe_key),
  };
}
