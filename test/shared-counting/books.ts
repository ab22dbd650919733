import type { JournalCall } from '../../tools/simulator/journal.ts';
import { costOf, type Findings, type LedgerRow, sumOf, usd } from './house.ts';
import type { Answer } from './load.ts';
import type { Reserved } from './reserved-notes.ts';

export interface Books {
  readonly rows: readonly LedgerRow[];
  /** What the provider served to this tenant. */
  readonly journal: readonly JournalCall[];
  readonly answers: readonly Answer[];
  readonly reserved: ReadonlyMap<string, Reserved>;
}

/**
 * Compares the ledger with what the provider served, call by call, by correlation id. Equal means: each call that the
 * provider had has one row. Rows of calls whose end an instance saw have the tokens that were served and their price, to the
 * nano-dollar. Rows of calls that a kill cut off are `lost` and estimated, and have what was reserved for them; nobody
 * can tell what the provider charges for those, but nobody got an answer from one of them either.
 */
export function compareBooks({ rows, journal, answers, reserved }: Books): Findings {
  const violations: string[] = [];
  const wrong = (correlation: string, what: string) => violations.push(`${correlation}: ${what}`);
  const rowsOf = Map.groupBy(rows, (row) => row.correlation_id);
  const servedOf = Map.groupBy(journal, ({ headers }) => headers['x-correlation-id'] ?? '');
  const answerOf = new Map(answers.map((answer) => [answer.correlation, answer]));

  for (const [correlation, calls] of servedOf) {
    const own = rowsOf.get(correlation) ?? [];
    if (calls.length !== 1 || own.length !== 1)
      wrong(correlation, `${own.length} rows for ${calls.length} calls`);
  }
  const exact: bigint[] = [];
  const served: bigint[] = [];
  const lost: bigint[] = [];
  const servedOfLost: bigint[] = [];
  for (const row of rows) {
    const { correlation_id: correlation, input_tokens: input, output_tokens: output } = row;
    const cost = BigInt(row.cost_nano_usd);
    const call = servedOf.get(correlation)?.[0];
    const bill = costOf(call?.served?.inputTokens ?? 0, call?.served?.outputTokens ?? 0);
    if (cost !== costOf(input, output))
      wrong(correlation, `costs ${cost}, its tokens ${costOf(input, output)}`);
    if (row.status === 'lost') {
      const held = reserved.get(correlation);
      lost.push(cost);
      servedOfLost.push(bill);
      if (!row.estimated) wrong(correlation, 'is lost and not marked as estimated');
      if (answerOf.get(correlation)?.status !== 0) wrong(correlation, 'is lost, and was answered');
      if (held?.inputTokens !== input || held.outputTokens !== output)
        wrong(correlation, `is lost with ${input} and ${output} tokens, reserved ${JSON.stringify(held)}`);
      continue;
    }
    exact.push(cost);
    served.push(bill);
    if (row.status !== 'ok' || row.estimated)
      wrong(correlation, `is ${row.status}, estimated: ${row.estimated}`);
    if (call?.served?.inputTokens !== input || call.served.outputTokens !== output)
      wrong(correlation, `${input} and ${output} tokens, served ${JSON.stringify(call?.served)}`);
  }
  for (const { correlation, status } of answers) {
    if (status === 200 && rowsOf.get(correlation)?.[0]?.status !== 'ok')
      wrong(correlation, 'was answered and has no row');
    if (status === 402 && servedOf.has(correlation)) wrong(correlation, 'was refused and sent');
  }
  if (sumOf(exact) !== sumOf(served))
    violations.push(`${usd(sumOf(exact))} in the ledger, ${usd(sumOf(served))} served`);
  return {
    figures: {
      rows: rows.length,
      served: servedOf.size,
      exactUsd: usd(sumOf(exact)),
      servedUsd: usd(sumOf(served)),
      lost: lost.length,
      lostUsd: usd(sumOf(lost)),
      servedOfLostUsd: usd(sumOf(servedOfLost)),
    },
    violations,
  };
}
