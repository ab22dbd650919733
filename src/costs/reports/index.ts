import type { Notify } from '../../notifications/index.ts';
import type { Routes } from '../../platform/api.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Database } from '../../platform/database/database.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import { alertsRoutes } from './alerts.routes.ts';
import { createAlerts } from './alerts.service.ts';
import { createAlertsStore } from './alerts.store.ts';
import { createNamesStore } from './names.store.ts';
import { createRecommendations } from './recommendations.service.ts';
import { createRecommendationsStore } from './recommendations.store.ts';
import { createReportStore, type ReportStore } from './report.store.ts';
import { createReportJobs } from './report-jobs.ts';
import { reportsRoutes } from './reports.routes.ts';
import { createReports } from './reports.service.ts';
import { createRollupStore } from './rollup.store.ts';

export interface CostReportsDependencies {
  readonly database: Database;
  /** Tells people of an alert, in the transaction that writes it. */
  readonly notify: Notify;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  /** Resolves when what was recorded before can be read from the ledger, or soon after it cannot. */
  readonly flush: () => Promise<unknown>;
}

export interface CostReports {
  /** What was spent on one value of a dimension in a period, nano-dollars; of rows that are in the ledger. */
  readonly spent: ReportStore['spent'];
  readonly routes: readonly Routes[];
  /** Rolls the ledger up and looks for alerts from now on. */
  start(): void;
  /** Before the database stops. */
  stop(): Promise<void>;
}

/** Breakdown, forecast, alerts and recommendations, and the jobs that they live from. */
export function createCostReports(deps: CostReportsDependencies): CostReports {
  const { database, clock, log } = deps;
  const store = createReportStore(database);
  const alerts = createAlerts({ ...deps, store: createAlertsStore(database), reports: store });
  const reports = createReports({ ...deps, store, names: createNamesStore(database) });
  const recommendations = createRecommendations(createRecommendationsStore(database), clock);
  const jobs = createReportJobs({ rollups: createRollupStore(database), alerts, clock, log });
  return {
    spent: store.spent,
    routes: [reportsRoutes({ ...reports, recommendations }), alertsRoutes(alerts)],
    start: jobs.start,
    stop: jobs.stop,
  };
}
