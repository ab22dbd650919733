import { expect, it } from 'vitest';
import type { JournalCall } from '../../tools/simulator/journal.ts';
import { nothingServed } from '../../tools/simulator/served.ts';
import { type Books, compareBooks } from './books.ts';
import type { LedgerRow } from './house.ts';
import type { Answer } from './load.ts';

/** The comparison that the soaks trust finds whatever is wrong in books of two calls: one answered, one lost. */
const row = (correlation: string, more: Partial<LedgerRow> = {}): LedgerRow => ({
  correlation_id: correlation,
  status: 'ok',
  estimated: false,
  input_tokens: 10,
  output_tokens: 20,
  cost_nano_usd: '225000',
  ...more,
});
const served = (correlation: string) =>
  ({
    headers: { 'x-correlation-id': correlation },
    served: { ...nothingServed, inputTokens: 10, outputTokens: 20 },
  }) as unknown as JournalCall;
const answer = (correlation: string, status: number) => ({ correlation, status }) as Answer;
const lost = row('lost', { status: 'lost', estimated: true, output_tokens: 100, cost_nano_usd: '1025000' });
const right: Books = {
  rows: [row('good'), lost],
  journal: [served('good'), served('lost')],
  answers: [answer('good', 200), answer('lost', 0), answer('refused', 402)],
  reserved: new Map([['lost', { inputTokens: 10, outputTokens: 100 }]]),
};

it('finds nothing wrong in books that are right', () => {
  expect(compareBooks(right)).toMatchObject({ violations: [], figures: { lost: 1, lostUsd: '0.001025' } });
});

const wrong: [string, Partial<Books>][] = [
  ['a call without a row', { rows: [lost] }],
  ['a call with two rows', { rows: [row('good'), row('good'), lost] }],
  [
    'tokens that were not served',
    { rows: [row('good', { output_tokens: 21, cost_nano_usd: '235000' }), lost] },
  ],
  ['a cost that is not that of the tokens', { rows: [row('good', { cost_nano_usd: '225001' }), lost] }],
  ['a guess where the end was seen', { rows: [row('good', { estimated: true }), lost] }],
  ['an answered call that is lost', { answers: [answer('good', 200), answer('lost', 200)] }],
  ['a lost call that does not say so', { rows: [row('good'), { ...lost, estimated: false }] }],
  ['a lost call without what was reserved', { reserved: new Map() }],
  ['a refused call that was sent', { answers: [answer('good', 402), answer('lost', 0)] }],
  ['a row of a call that nobody served', { journal: [served('lost')] }],
];
it.each(wrong)('finds %s', (_what, change) => {
  expect(compareBooks({ ...right, ...change }).violations).not.toEqual([]);
});
