import { join } from 'node:path';
import {
  createBilling,
  createBudgets,
  createBudgetsStore,
  createCostReports,
  createCosts,
  createLedgerStore,
  createPriceCatalogue,
} from '../costs/index.ts';
import type { Notifier } from '../notifications/index.ts';
import type { Routing } from '../routing/index.ts';
import type { AccessSection } from './access.ts';
import type { LimitsSection } from './limits.ts';
import type { Platform } from './platform.ts';

type Around = AccessSection &
  LimitsSection &
  Pick<Routing, 'addressOf' | 'tenantsWithOwn'> & { notifier: Notifier };

export type MoneySection = ReturnType<typeof composeMoney>;

/** Prices, the ledger, what is read from it, and budgets. */
export function composeMoney(platform: Platform, around: Around) {
  const { access, notifier, counters, sharedCounters, addressOf, tenantsWithOwn } = around;
  const { foundation, database, notifications, jobs, instances, instanceId } = platform;
  const { clock, newId, metrics, log } = platform;
  /** By itself: rows that were taken off the spool must not be undone with the request that waited for them. */
  const flush = () => database.apart(() => costs.flush());

  const billing = createBilling({
    database,
    jobs,
    catalogue: createPriceCatalogue(),
    clock,
    newId,
    log,
    subscribe: (onChange, onGap) => notifications.subscribe('prices_changed', onChange, onGap),
    addressOf,
    tenantsWithOwn,
    flush,
    fontFile: join(foundation.dataDirectory, 'fonts', 'invoice.ttf'),
  });
  const costs = createCosts({
    store: createLedgerStore(database),
    catalogue: billing.prices,
    clock,
    newId,
    metrics,
    log,
    dataDir: foundation.dataDirectory,
    writerId: instanceId,
    recorded: (row) => budgets.recorded(row),
  });
  const costReports = createCostReports({
    database,
    notify: notifier.notify,
    clock,
    newId,
    log,
    flush,
  });
  const budgets = createBudgets({
    store: createBudgetsStore(database),
    spent: costReports.spent,
    counters,
    costs,
    tenant: access.tenant,
    writerId: instanceId,
    liveWriters: instances.live,
    dataDir: foundation.dataDirectory,
    subscribe: notifications.subscribe,
    ...(sharedCounters === null ? {} : { onWanted: sharedCounters.onWanted }),
    clock,
    newId,
    log,
  });
  return { billing, costs, costReports, budgets };
}
