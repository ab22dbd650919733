import { medianOf } from './median.ts';

/** What a month's forecast was made with, and how far what is left of the month may be off. */
export type ForecastMethod = 'weekday_trend' | 'weekday' | 'daily_mean' | 'not_enough_history';

export interface Forecast {
  readonly method: ForecastMethod;
  /** What the days that are left will cost, dollars; null without enough history. */
  readonly rest: { readonly expected: number; readonly low: number; readonly high: number } | null;
  /** What it was computed from, to be shown beside it. */
  readonly inputs: {
    /** Days before today that were looked at, from the first with any spend. */
    readonly historyDays: number;
    /** Days that are left, today included. */
    readonly remainingDays: number;
    /** Dollars a day at the end of the history, of a day of the week like any other; null without enough history. */
    readonly dailyLevel: number | null;
    /** By how many dollars a day it changes from day to day; 0 when no change stands out from the noise. */
    readonly dailyTrend: number;
    /** Monday to Sunday: what a day of the week costs in proportion to the average one; null when not told apart. */
    readonly weekdayFactors: readonly number[] | null;
    /** Standard deviation of one day, dollars. */
    readonly dailyDeviation: number | null;
  };
}

export interface Day {
  /** ISO: 1 is Monday, 7 is Sunday. */
  readonly weekday: number;
}
export interface SpentDay extends Day {
  /** Dollars. */
  readonly spent: number;
}

/** How often the month should end within the range. */
export const rangeCoverage = 0.8;
/** The normal distribution's 90th percentile: a tenth is left out at either end. */
const z = 1.2815515655446004;
const leastDays = 3;
/** Four of each day of the week: fewer say more about single days than about the day of the week. */
const weekdayDays = 28;
/** How long a trend is looked for: older days tell little of the next ones. */
const trendDays = 28;
/** A slope below this many standard errors is taken for noise. */
const significantSlope = 2.5;
/** What neighbouring days have in common is believed up to here: estimates from few days swing widely. */
const highestCorrelation = 0.7;

/**
 * What the rest of a month will cost, from whole days before it. An estimate, so computed in floating point; what was
 * spent is money and is not touched here.
 *
 * With four weeks and more: each day is divided by the factor of its day of the week (ratio to the average, the seasonal
 * part of a classical multiplicative decomposition), and a level, or a line where its slope stands out, is fitted to the
 * last four weeks by least squares. With less: the mean of the days there are. The range is the prediction interval of a
 * sum of future days under that fit: noise of each day, doubt about the level and doubt about the slope, with the noise
 * widened by (1+ρ)/(1−ρ) where neighbouring days resemble each other. Sources: Hyndman & Athanasopoulos, "Forecasting:
 * Principles and Practice" (3rd ed.), sections 3.4, 5.5 and 7.6; the widening is the variance of a mean of an AR(1)
 * series (Box, Jenkins & Reinsel, "Time Series Analysis", section 2.1); Student's t by Abramowitz & Stegun 26.7.5.
 * @param history whole days in order, oldest first, without a gap; days before the first spend are not looked at.
 * @param today what was spent of today so far, dollars; today counts as at least that.
 * @param ahead the days that are left, today first.
 */
export function forecastRest(history: readonly SpentDay[], today: number, ahead: readonly Day[]): Forecast {
  const first = history.findIndex(({ spent }) => spent > 0);
  const days = first === -1 ? [] : history.slice(first);
  const base = { historyDays: days.length, remainingDays: ahead.length };
  if (days.length < leastDays) {
    const inputs = { dailyLevel: null, dailyTrend: 0, weekdayFactors: null, dailyDeviation: null };
    return { method: 'not_enough_history', rest: null, inputs: { ...base, ...inputs } };
  }
  const factors = days.length < weekdayDays ? null : weekdayFactors(days);
  const factorOf = ({ weekday }: Day) => factors?.[weekday - 1] ?? 1;
  const recent = days.slice(-trendDays);
  const fit = fitLine(
    recent.map((day) => day.spent / factorOf(day)),
    factors !== null,
    factors === null ? 0 : 6,
  );
  const sum = sumAhead(fit, ahead.map(factorOf));
  const { deviation } = sum;
  // What today has cost beyond what it was expected to will not come back.
  const expected = sum.expected + Math.max(today - sum.first, 0);
  const margin = studentT(fit.freedom) * deviation;
  return {
    method: factors === null ? 'daily_mean' : fit.slope === 0 ? 'weekday' : 'weekday_trend',
    rest: {
      expected,
      low: Math.max(expected - margin, today),
      high: expected + margin,
    },
    inputs: {
      ...base,
      dailyLevel: Math.max(fit.level + fit.slope * ((fit.days - 1) / 2), 0),
      dailyTrend: fit.slope,
      weekdayFactors: factors,
      dailyDeviation: fit.deviation,
    },
  };
}

/**
 * What each day of the week costs in proportion to the average. The middle of the ratios to the weeks' own means, so that
 * neither growth nor one expensive day bends it; they average to 1. A day on which nothing is ever spent has 0, which is
 * taken for a thousandth so that it can be divided by.
 */
function weekdayFactors(days: readonly SpentDay[]): number[] {
  const ratios: number[][] = [[], [], [], [], [], [], []];
  for (let end = days.length; end >= 7; end -= 7) {
    const week = days.slice(end - 7, end);
    const mean = week.reduce((sum, { spent }) => sum + spent, 0) / 7;
    if (mean > 0) for (const { weekday, spent } of week) ratios[weekday - 1]?.push(spent / mean);
  }
  const middles = ratios.map((ratio) => (ratio.length === 0 ? 1 : medianOf(ratio)));
  const mean = middles.reduce((sum, middle) => sum + middle, 0) / 7;
  return middles.map((middle) => Math.max(mean > 0 ? middle / mean : 1, 0.001));
}

interface Fit {
  readonly days: number;
  /** At the middle of the days. */
  readonly level: number;
  readonly slope: number;
  /** Standard deviation of a day around the fit, widened for what neighbours have in common. */
  readonly deviation: number;
  /** Sum of squared distances from the middle day. */
  readonly spread: number;
  readonly freedom: number;
}

/** Least squares; the line lies flat unless its slope stands out. @param factorsFitted degrees of freedom used before. */
function fitLine(values: readonly number[], slopeAllowed: boolean, factorsFitted: number): Fit {
  const days = values.length;
  const middle = (days - 1) / 2;
  const level = values.reduce((sum, value) => sum + value, 0) / days;
  const spread = values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
  const steepest = values.reduce((sum, value, at) => sum + (at - middle) * (value - level), 0) / spread;
  const residuals = (slope: number) => values.map((value, at) => value - level - slope * (at - middle));
  const squares = (of: readonly number[]) => of.reduce((sum, each) => sum + each * each, 0);
  const around = residuals(steepest);
  const wide = widening(around);
  const error = Math.sqrt((squares(around) / Math.max(days - 2, 1) / spread) * wide);
  const slope = slopeAllowed && Math.abs(steepest) > significantSlope * error ? steepest : 0;
  const left = residuals(slope);
  const freedom = Math.max(days - (slope === 0 ? 1 : 2) - factorsFitted, 1);
  const deviation = Math.sqrt((squares(left) / freedom) * (slope === 0 ? widening(left) : wide));
  return { days, level, slope, deviation, spread, freedom };
}

/** (1+ρ)/(1−ρ) of the first autocorrelation ρ: by how much neighbouring days make sums of days vary more. */
function widening(residuals: readonly number[]): number {
  const squares = residuals.reduce((sum, each) => sum + each * each, 0);
  if (squares === 0) return 1;
  const products = residuals.slice(1).reduce((sum, each, at) => sum + each * (residuals[at] ?? 0), 0);
  // The estimate from n values is low by about (1+4ρ)/n (Kendall, 1954).
  const seen = products / squares;
  const correlation = Math.min(Math.max(seen + (1 + 4 * seen) / residuals.length, 0), highestCorrelation);
  return (1 + correlation) / (1 - correlation);
}

/** The sum of the days ahead, each its factor times the fit; the first of them; the standard deviation of the sum's error. */
function sumAhead(fit: Fit, factors: readonly number[]) {
  const middle = (fit.days - 1) / 2;
  let expected = 0;
  let noise = 0;
  let weight = 0;
  let lever = 0;
  for (const [ahead, factor] of factors.entries()) {
    const distance = fit.days + ahead - middle;
    expected += factor * Math.max(fit.level + fit.slope * distance, 0);
    noise += factor ** 2;
    weight += factor;
    lever += factor * distance;
  }
  const doubt = weight ** 2 / fit.days + (fit.slope === 0 ? 0 : lever ** 2 / fit.spread);
  const first = (factors[0] ?? 0) * Math.max(fit.level + fit.slope * (fit.days - middle), 0);
  return { expected, first, deviation: fit.deviation * Math.sqrt(noise + doubt) };
}

/** Student's t at 90 % from the normal distribution's; within 4 % at one degree of freedom, 0.1 % from four on. */
function studentT(freedom: number): number {
  return (
    z +
    (z ** 3 + z) / (4 * freedom) +
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * freedom ** 2) +
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / (384 * freedom ** 3)
  );
}
