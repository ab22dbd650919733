import type { Told } from '../../notifications/index.ts';
import { whose } from '../budgets/budget.ts';
import { periodAround } from '../budgets/period.ts';
import { usdFromNano } from '../money.ts';
import type { AlertFound, BudgetToCheck } from './alert.ts';
import type { Summed } from './dimensions.ts';
import type { Period, ReportStore } from './report.store.ts';
import { forecastMonth, type Reader } from './reports.service.ts';
import { estimated } from './reports.view.ts';
import { type SpikeRule, spikeRule } from './spike.ts';
import { addDays, dayOf, daysBetween, startOfDay } from './zoned-time.ts';

type Store = Pick<ReportStore, 'spent' | 'dailyCost' | 'hourlyCost' | 'unpricedModels'>;

const hourMs = 3_600_000;
const dayMs = 86_400_000;
const nanoPerUsd = 1e9;
const comparedDays = 28;
/** Dollars above the ordinary that an hour or a day must cost before anybody is told. */
const leastMoney = { hour: 1, day: 5 } as const;
const maxUnpricedModels = 20;
const maxKeyPart = 200;

/** Everything that is worth an alert now; most of it was before, too, and is told once by its key. */
export async function findAlerts(
  store: Store,
  reader: Reader,
  budgets: readonly BudgetToCheck[],
  now: Date,
): Promise<AlertFound[]> {
  const found: AlertFound[] = [];
  for (const budget of budgets) found.push(...(await ofBudget(store, reader, budget, now)));
  found.push(...(await spikes(store, reader, now)), ...(await unpriced(store, reader, now)));
  return found;
}

/** Whose spend a budget is of, as rollups have it. */
function summedOf(budget: BudgetToCheck): Summed {
  if (budget.scope === 'tenant') return 'all';
  return budget.scope === 'model' ? 'model_or_route' : budget.scope;
}

async function ofBudget(
  store: Store,
  reader: Reader,
  budget: BudgetToCheck,
  now: Date,
): Promise<AlertFound[]> {
  const period = around(reader, budget.period, now);
  const limit = budget.limit_nano_usd;
  const spent = await store.spent(reader, summedOf(budget), budget.scope_id, period);
  const reached = spent >= limit ? 100 : budget.alert_threshold_percent;
  if (spent * 100n >= limit * BigInt(reached)) return [threshold(budget, period, spent, reached)];
  if (budget.period !== 'month') return [];
  const { monthEnd } = await forecastMonth(store, reader, summedOf(budget), budget.scope_id, now);
  if (monthEnd === null || monthEnd.expected <= limit) return [];
  const data = { ...factsOf(budget, period, spent), expected_usd: usdFromNano(monthEnd.expected) };
  return [
    {
      kind: 'forecast',
      severity: 'warning',
      subject: `budget:${budget.id}`,
      dedupeKey: `forecast:${budget.id}:${limit}:${period.from.toISOString()}`,
      title: `The budget of ${ownerOf(budget)} is likely to be passed this month`,
      text: `${dollars(spent)} of ${dollars(limit)} are spent; at this rate the month ends at about ${dollars(monthEnd.expected)}, between ${dollars(monthEnd.low)} and ${dollars(monthEnd.high)}.`,
      data: { ...data, low_usd: usdFromNano(monthEnd.low), high_usd: usdFromNano(monthEnd.high) },
    },
  ];
}

function threshold(budget: BudgetToCheck, period: Period, spent: bigint, reached: number): AlertFound {
  const limit = budget.limit_nano_usd;
  const exhausted = spent >= limit;
  const ends = `It begins anew at ${period.to.toISOString()}.`;
  const consequence = budget.hard_limit
    ? 'Calls that do not fit are refused until then.'
    : 'It only tells: calls go on.';
  return {
    kind: 'threshold',
    severity: exhausted ? 'critical' : 'warning',
    subject: `budget:${budget.id}`,
    // A changed limit is a new one to be told of.
    dedupeKey: `threshold:${budget.id}:${reached}:${limit}:${period.from.toISOString()}`,
    title: exhausted
      ? `The budget of ${ownerOf(budget)} is used up`
      : `The budget of ${ownerOf(budget)} has reached ${reached} %`,
    text: `${dollars(spent)} of ${dollars(limit)} for this ${budget.period} are spent. ${ends}${exhausted ? ` ${consequence}` : ''}`,
    data: { ...factsOf(budget, period, spent), reached_percent: reached, hard_limit: budget.hard_limit },
  };
}

/** The hour and the day that are under way, and those before them, whose last rows may have come late. */
async function spikes(store: Store, reader: Reader, now: Date): Promise<AlertFound[]> {
  const { timeZone } = reader.tenant;
  const hour = Math.floor(now.getTime() / hourMs) * hourMs;
  const today = dayOf(now, timeZone);
  const hours = await store.hourlyCost(reader, {
    from: new Date(hour - comparedDays * dayMs - hourMs),
    to: new Date(hour + hourMs),
  });
  const byHour = new Map(hours.map((each) => [each.hour.getTime(), Number(each.cost_nano_usd)]));
  const firstHour = hours[0]?.hour.getTime() ?? hour;
  const found: AlertFound[] = [];
  for (const at of [hour - hourMs, hour]) {
    // The same hour of the days before, for as long as there was any spend at all.
    const before = [];
    for (let ago = at - dayMs; ago >= Math.max(firstHour, at - comparedDays * dayMs); ago -= dayMs) {
      before.push((byHour.get(ago) ?? 0) / nanoPerUsd);
    }
    const from = new Date(at);
    found.push(...spike('hour', from.toISOString(), byHour.get(at) ?? 0, before));
  }
  const firstDay = addDays(today, -comparedDays - 1);
  const period = { from: startOfDay(firstDay, timeZone), to: startOfDay(addDays(today, 1), timeZone) };
  const days = await store.dailyCost(reader, 'all', null, period, timeZone);
  const byDay = new Map(days.map((each) => [each.day, Number(each.cost_nano_usd)]));
  for (const day of [addDays(today, -1), today]) {
    const from = [addDays(day, -comparedDays), days[0]?.day ?? day].sort()[1] ?? day;
    const before = daysBetween(from, day).map((each) => (byDay.get(each) ?? 0) / nanoPerUsd);
    found.push(...spike('day', day, byDay.get(day) ?? 0, before));
  }
  return found;
}

/** @param spentNano what it cost, nano-dollars; an estimate is enough to compare. */
function spike(
  unit: 'hour' | 'day',
  when: string,
  spentNano: number,
  before: readonly number[],
): AlertFound[] {
  const rule = spikeRule(before, leastMoney[unit]);
  const spent = spentNano / nanoPerUsd;
  if (rule === null || spent <= rule.bound) return [];
  return [
    {
      kind: 'spike',
      severity: 'warning',
      subject: unit,
      dedupeKey: `spike:${unit}:${when}`,
      title: `The ${unit} ${when} costs far more than usual`,
      text: `$${spent.toFixed(2)} where the middle of the last ${before.length} ${unit === 'hour' ? 'days at this hour' : 'days'} is $${rule.median.toFixed(2)}. The breakdown by key, model or prompt of that time shows where it comes from.`,
      data: { ...factsOfRule(rule), when, spent_usd: estimated(spent) ?? '', compared_with: before.length },
    },
  ];
}

function factsOfRule({ median, deviation, bound }: SpikeRule): Record<string, Told> {
  return {
    median_usd: estimated(median),
    median_absolute_deviation_usd: estimated(deviation),
    bound_usd: estimated(bound),
  };
}

async function unpriced(store: Store, reader: Reader, now: Date): Promise<AlertFound[]> {
  const month = around(reader, 'month', now);
  const models = await store.unpricedModels(reader, month, maxUnpricedModels);
  return models.map(({ value, unpriced_calls: calls, unpriced_tokens: tokens }) => ({
    kind: 'unpriced',
    severity: 'warning',
    subject: `model:${value}`,
    dedupeKey: `unpriced:${value.slice(0, maxKeyPart)}:${month.from.toISOString()}`,
    title: `The model ${value.slice(0, 100)} has no price`,
    text: `${calls} calls with ${tokens} tokens this month are in no total and count against no budget. Give the model a price; what was called can then be priced afterwards.`,
    data: { model: value, calls: Number(calls), tokens: Number(tokens) },
  }));
}

function around(reader: Reader, kind: 'day' | 'week' | 'month', now: Date): Period {
  const { startMs, endMs } = periodAround(reader.tenant.timeZone, kind, now.getTime());
  return { from: new Date(startMs), to: new Date(endMs) };
}

function factsOf(budget: BudgetToCheck, period: Period, spent: bigint): Record<string, Told> {
  return {
    budget_id: budget.id,
    scope: budget.scope,
    scope_id: budget.scope_id,
    period: budget.period,
    period_start: period.from.toISOString(),
    period_end: period.to.toISOString(),
    limit_usd: usdFromNano(budget.limit_nano_usd),
    spent_usd: usdFromNano(spent),
  };
}

function ownerOf(budget: BudgetToCheck): string {
  return whose({ scope: budget.scope, scopeId: budget.scope_id?.slice(0, 100) ?? null });
}

const nanoPerCent = 10_000_000n;

/** For people: to the cent, rounded down, so that a limit never looks reached before it is; what is less, in full. */
function dollars(nanoUsd: bigint): string {
  const exact = usdFromNano(nanoUsd);
  return `$${nanoUsd > 0n && nanoUsd < nanoPerCent ? exact.replace(/0+$/, '') : exact.slice(0, -7)}`;
}
