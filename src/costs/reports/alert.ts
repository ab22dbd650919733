import type { Severity, Told } from '../../notifications/index.ts';
import type { BudgetScope } from '../budgets/budget.ts';
import type { PeriodKind } from '../budgets/period.ts';

export const alertKinds = ['threshold', 'spike', 'forecast', 'unpriced'] as const;
export type AlertKind = (typeof alertKinds)[number];

/** Something that people should look at. */
export interface AlertFound {
  readonly kind: AlertKind;
  readonly severity: Severity;
  readonly subject: string;
  /** Of a tenant, one alert for each; at most 280 characters. */
  readonly dedupeKey: string;
  readonly title: string;
  readonly text: string;
  /** The figures that it was raised on. */
  readonly data: Readonly<Record<string, Told>>;
}

/** A budget as far as alerts look at it. */
export interface BudgetToCheck {
  readonly id: string;
  readonly scope: BudgetScope;
  readonly scope_id: string | null;
  readonly period: PeriodKind;
  readonly limit_nano_usd: bigint;
  readonly alert_threshold_percent: number;
  readonly hard_limit: boolean;
}
