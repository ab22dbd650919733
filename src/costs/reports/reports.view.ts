import type { z } from 'zod';
import { usdFromNano } from '../money.ts';
import { textCell } from './csv.ts';
import { rangeCoverage } from './forecast.ts';
import type { Recommendations } from './recommendations.service.ts';
import type { forecastView, lineView, recommendationsView } from './reports.schema.ts';
import type { Line, MonthForecast } from './reports.service.ts';

export function showLine(line: Line): z.input<typeof lineView> {
  return {
    value: line.value,
    name: line.name,
    cost_usd: usdFromNano(line.cost_nano_usd),
    adjustments_usd: usdFromNano(line.adjustments_nano_usd),
    calls: Number(line.calls),
    tokens: {
      input: Number(line.input_tokens),
      cached_read: Number(line.cached_read_tokens),
      cache_write_5m: Number(line.cache_write_5m_tokens),
      cache_write_1h: Number(line.cache_write_1h_tokens),
      output: Number(line.output_tokens),
      reasoning: Number(line.reasoning_tokens),
      image: Number(line.image_tokens),
      audio: Number(line.audio_tokens),
    },
    unpriced: { calls: Number(line.unpriced_calls), tokens: Number(line.unpriced_tokens) },
    earlier_attempts: {
      count: Number(line.earlier_attempts),
      cost_usd: usdFromNano(line.earlier_cost_nano_usd),
    },
    cached: { calls: Number(line.cached_calls), saved_usd: usdFromNano(line.saved_nano_usd) },
  };
}

const number = (name: keyof Line, header: string) => ({
  name: header,
  cell: (line: Line) => String(line[name]),
});

/** The columns of a breakdown's CSV. Adjustments may be negative, which is a number and no formula. */
export function lineColumns(by: string) {
  return [
    { name: by, cell: (line: Line) => textCell(line.value) },
    { name: 'name', cell: (line: Line) => textCell(line.name) },
    { name: 'cost_usd', cell: (line: Line) => usdFromNano(line.cost_nano_usd) },
    { name: 'adjustments_usd', cell: (line: Line) => usdFromNano(line.adjustments_nano_usd) },
    number('calls', 'calls'),
    number('input_tokens', 'input_tokens'),
    number('cached_read_tokens', 'cached_read_tokens'),
    number('cache_write_5m_tokens', 'cache_write_5m_tokens'),
    number('cache_write_1h_tokens', 'cache_write_1h_tokens'),
    number('output_tokens', 'output_tokens'),
    number('reasoning_tokens', 'reasoning_tokens'),
    number('image_tokens', 'image_tokens'),
    number('audio_tokens', 'audio_tokens'),
    number('unpriced_calls', 'unpriced_calls'),
    number('unpriced_tokens', 'unpriced_tokens'),
    number('earlier_attempts', 'earlier_attempts'),
    {
      name: 'earlier_attempts_cost_usd',
      cell: (line: Line) => usdFromNano(line.earlier_cost_nano_usd),
    },
    number('cached_calls', 'cached_calls'),
    { name: 'cached_saved_usd', cell: (line: Line) => usdFromNano(line.saved_nano_usd) },
  ];
}

/** What to know when adding up lines. */
export function notesOn(by: string): string[] {
  const notes =
    by === 'tag'
      ? [
          'A call with several tags counts in the line of each, so the lines may add up to more than the total.',
        ]
      : [];
  if (by !== 'day') notes.push('The line whose value is null is of the calls that have none.');
  return notes;
}

const explanations: Readonly<Record<MonthForecast['forecast']['method'], string>> = {
  weekday_trend:
    'Each day of the last four weeks is divided by the factor of its day of the week, a line is fitted through them by least squares, and each day that is left costs what the line says times the factor of its day.',
  weekday:
    'Each day of the last four weeks is divided by the factor of its day of the week, and each day that is left costs their mean times the factor of its day. No trend stands out from the noise.',
  daily_mean:
    'Each day that is left costs the mean of the whole days so far; for days of the week it takes 28.',
  not_enough_history: 'There are fewer than three whole days since the first spend.',
};
const weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

export function showForecast(found: MonthForecast, timeZone: string): z.input<typeof forecastView> {
  const { monthEnd, forecast } = found;
  const { inputs } = forecast;
  return {
    month: found.month,
    time_zone: timeZone,
    spent_so_far_usd: usdFromNano(found.spentNanoUsd),
    month_end: monthEnd && {
      expected_usd: usdFromNano(monthEnd.expected),
      low_usd: usdFromNano(monthEnd.low),
      high_usd: usdFromNano(monthEnd.high),
    },
    range: `${rangeCoverage * 100} % of months should end between low_usd and high_usd, as long as nothing new happens`,
    method: forecast.method,
    explanation: explanations[forecast.method],
    inputs: {
      history_days: inputs.historyDays,
      remaining_days: inputs.remainingDays,
      daily_level_usd: estimated(inputs.dailyLevel),
      daily_trend_usd: estimated(inputs.dailyTrend) ?? '0.000000000',
      daily_deviation_usd: estimated(inputs.dailyDeviation),
      weekday_factors:
        inputs.weekdayFactors &&
        Object.fromEntries(
          weekdays.map((weekday, at) => [
            weekday,
            Math.round((inputs.weekdayFactors?.[at] ?? 1) * 1_000) / 1_000,
          ]),
        ),
    },
  };
}

/** @param dollars an estimate. */
export function estimated(dollars: number | null): string | null {
  return dollars === null ? null : usdFromNano(BigInt(Math.round(dollars * 1e9)));
}

export function showRecommendations(found: Recommendations): z.input<typeof recommendationsView> {
  return {
    from: found.from.toISOString(),
    to: found.to.toISOString(),
    recommendations: found.recommendations.map(({ monthlySavingNanoUsd: saving, arithmetic, ...plain }) => ({
      ...plain,
      monthly_saving_usd: saving === null ? null : usdFromNano(saving),
      arithmetic: {
        formula: arithmetic.formula,
        inputs: { ...arithmetic.inputs },
        assumptions: [...arithmetic.assumptions],
      },
    })),
    not_computed: [...found.notComputed],
  };
}
