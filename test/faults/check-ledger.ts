import type { JournalCall } from '../../tools/simulator/journal.ts';
import type { SpooledRow } from '../harness/model-path.ts';

/** What a provider served, and the rows that speak of it. */
export interface Books {
  readonly rows: readonly SpooledRow[];
  /** Of each provider, by its name. */
  readonly journals: Readonly<Record<string, readonly JournalCall[]>>;
  /** Correlation ids of all calls that were made. */
  readonly made: readonly string[];
}

/** What a token costs, in nano-dollars: the list prices of the two models used here, USD a million tokens × 1,000. */
const listPrices: Readonly<Record<string, { input: bigint; cached: bigint; write: bigint; output: bigint }>> =
  {
    // 0.15, 0.075, 0.60
    'gpt-4o-mini': { input: 150n, cached: 75n, write: 0n, output: 600n },
    // 3, 0.30, 3.75, 15
    'claude-sonnet-4-5': { input: 3_000n, cached: 300n, write: 3_750n, output: 15_000n },
  };

/**
 * Compares every row with what the simulated providers noted: the same attempts, their tokens by class, their charges.
 * @returns what is wrong, in words; empty when the books agree.
 */
export function wrongInBooks({ rows, journals, made }: Books): string[] {
  const wrong: string[] = [];
  const name = (row: SpooledRow) => `${row.correlation_id} ${row.provider} #${row.attempt}`;
  for (const correlation of made) {
    const own = rows.filter((row) => row.correlation_id === correlation);
    const finals = own.filter((row) => row.final);
    const served = Object.entries(journals).map(
      ([provider, journal]) =>
        [provider, journal.filter((call) => call.headers['x-correlation-id'] === correlation)] as const,
    );
    const reached = served.reduce((total, [, calls]) => total + calls.length, 0);
    if (finals.length !== 1 && reached > 0) wrong.push(`${correlation}: ${finals.length} final rows`);
    const [final] = finals;
    const attempts = own.map((row) => Number(row.attempt));
    if (new Set(attempts).size !== attempts.length) wrong.push(`${correlation}: attempts ${attempts.join()}`);
    for (const row of own) {
      if (row.call_id !== final?.id) wrong.push(`${name(row)}: names another call`);
      if (!row.final && Number(row.attempt) >= Number(final?.attempt)) wrong.push(`${name(row)}: too late`);
    }
    for (const [provider, calls] of served) {
      const there = own
        .filter((row) => row.provider === provider)
        .sort((a, b) => Number(a.attempt) - Number(b.attempt));
      if (there.length !== calls.length) {
        wrong.push(`${correlation} ${provider}: ${there.length} rows for ${calls.length} requests`);
      }
      for (const [index, row] of there.entries()) {
        const call = calls[index];
        if (call) wrong.push(...wrongInRow(row, call).map((what) => `${name(row)} (${call.fault}): ${what}`));
      }
    }
  }
  return wrong;
}

function wrongInRow(row: SpooledRow, call: JournalCall): string[] {
  const wrong: string[] = [];
  const tokens = tokensOf(row);
  // A refusal that came after we had given up, or the caller had left, was not heard.
  const refused = call.ending === 'refused' && row.status !== 'timeout' && row.status !== 'aborted';
  if (refused && (row.estimated || tokens.total > 0)) wrong.push('a refusal is charged');
  if (!refused && !row.estimated) {
    const { served } = call;
    const told = served && {
      input: served.inputTokens,
      cachedRead: served.cachedReadTokens,
      write5m: served.cacheWrite5mTokens,
      write1h: served.cacheWrite1hTokens,
      output: served.outputTokens,
      reasoning: served.reasoningTokens,
    };
    const { total: _total, ...counted } = tokens;
    if (!told) wrong.push('tokens that nobody served, or a charge left out');
    else if (JSON.stringify(told) !== JSON.stringify(counted)) {
      wrong.push(`served ${JSON.stringify(told)}, recorded ${JSON.stringify(counted)}`);
    }
  }
  if (row.estimated) {
    if (tokens.input === 0) wrong.push('an estimate without its input');
    // Anthropic tells the input at the beginning and the output at the end.
    if (row.raw_usage !== null && tokens.input !== call.served?.inputTokens) {
      wrong.push(`${tokens.input} input tokens although the provider told ${call.served?.inputTokens}`);
    }
    if (call.ending === 'whole' && call.usage !== null && row.status === 'ok')
      wrong.push('estimated for nothing');
    // What was sent need not have arrived, but nothing that was never sent is charged.
    const most = (call.served?.outputTokens ?? 0) + spareTokens;
    if (tokens.output > most * estimateError) wrong.push(`${tokens.output} output tokens of ${most} at most`);
  }
  const price = listPrices[String(row.model)];
  const cost = price && costOf(tokens, price);
  if (cost === undefined || String(row.cost_nano_usd) !== String(cost)) {
    wrong.push(`costs ${row.cost_nano_usd}, should be ${cost}`);
  }
  return wrong;
}

/** The estimate counts events or a quarter of the bytes, names and braces of tool calls included; here a word is a token. */
const estimateError = 3;
const spareTokens = 8;

function tokensOf(row: SpooledRow) {
  const counted = {
    input: Number(row.input_tokens),
    cachedRead: Number(row.cached_read_tokens),
    write5m: Number(row.cache_write_5m_tokens),
    write1h: Number(row.cache_write_1h_tokens),
    output: Number(row.output_tokens),
    reasoning: Number(row.reasoning_tokens),
  };
  return { ...counted, total: Object.values(counted).reduce((sum, tokens) => sum + tokens, 0) };
}

function costOf(
  tokens: ReturnType<typeof tokensOf>,
  price: { input: bigint; cached: bigint; write: bigint; output: bigint },
): bigint {
  const fresh = tokens.input - tokens.cachedRead - tokens.write5m - tokens.write1h;
  return (
    BigInt(fresh) * price.input +
    BigInt(tokens.cachedRead) * price.cached +
    BigInt(tokens.write5m) * price.write +
    // An hour in the cache costs twice the input.
    BigInt(tokens.write1h) * 2n * price.input +
    BigInt(tokens.output) * price.output
  );
}
