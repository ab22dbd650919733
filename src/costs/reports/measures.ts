/** What is summed of ledger rows and of adjustments to them, by the names of the columns that hold the sums. */
export const measures = [
  'calls',
  'cost_nano_usd',
  'input_tokens',
  'cached_read_tokens',
  'cache_write_5m_tokens',
  'cache_write_1h_tokens',
  'output_tokens',
  'reasoning_tokens',
  'image_tokens',
  'audio_tokens',
  'earlier_attempts',
  'earlier_cost_nano_usd',
  'cached_calls',
  'saved_nano_usd',
  'unpriced_calls',
  'unpriced_tokens',
  'adjustments_nano_usd',
] as const;
export type Measure = (typeof measures)[number];

/** Counts, tokens, and money in nano-dollars; `adjustments_nano_usd` may be negative, nothing else is. */
export type Sums = { readonly [measure in Measure]: bigint };

/** Each measure of one ledger row, as SQL. A call is its final row; costs and tokens are those of every attempt. */
export const measuresOfRow: { readonly [measure in Measure]: string } = {
  calls: 'final::int::bigint',
  cost_nano_usd: 'coalesce(cost_nano_usd, 0)',
  input_tokens: 'input_tokens',
  cached_read_tokens: 'cached_read_tokens',
  cache_write_5m_tokens: 'cache_write_5m_tokens',
  cache_write_1h_tokens: 'cache_write_1h_tokens',
  output_tokens: 'output_tokens',
  reasoning_tokens: 'reasoning_tokens',
  image_tokens: 'image_tokens',
  audio_tokens: 'audio_tokens',
  earlier_attempts: '(not final)::int::bigint',
  earlier_cost_nano_usd: 'case when final then 0 else coalesce(cost_nano_usd, 0) end',
  cached_calls: "(final and tier = 'cached')::int::bigint",
  saved_nano_usd: 'coalesce(saved_nano_usd, 0)',
  unpriced_calls: "(final and pricing_state = 'unpriced')::int::bigint",
  unpriced_tokens: "case when pricing_state = 'unpriced' then input_tokens + output_tokens else 0 end",
  adjustments_nano_usd: '0::bigint',
};

/** An adjustment changes what is owed and nothing else: the row that it is about was counted when it was written. */
export const measuresOfAdjustment: { readonly [measure in Measure]: string } = {
  ...(Object.fromEntries(measures.map((measure) => [measure, '0::bigint'])) as Record<Measure, string>),
  adjustments_nano_usd: 'delta_nano_usd',
};

/** `sum(calls)::bigint as calls, …`; nothing at all sums to 0. */
export const summed = measures
  .map((measure) => `coalesce(sum(${measure}), 0)::bigint as ${measure}`)
  .join(', ');

/** `<expression> as calls, …` */
export function selected(expressions: { readonly [measure in Measure]: string }): string {
  return measures.map((measure) => `${expressions[measure]} as ${measure}`).join(', ');
}
