import { exportFault, shown } from './export-fault.ts';
import { countAt, dayOfBucket, moneyAt, requireUsd, secondsAt, textAt, timeAt } from './export-values.ts';
import {
  createExportedSums,
  type ExportedRow,
  type ExportedSums,
  type ExportedUsage,
} from './exported-usage.ts';

type Members = Readonly<Record<string, unknown>>;

/** One form of result that a bucket can hold. */
interface ResultForm {
  fits(result: Members): boolean;
  sums(): ExportedSums;
  read(result: Members, place: string): Omit<ExportedRow, 'day'>;
}

const nanoPlaces = { dollars: 9, cents: 7 };
const maxPages = 1_000;
const maxResults = 500_000;

/** https://platform.openai.com/docs/api-reference/usage: completions and embeddings. */
const openAiUsage: ResultForm = {
  fits: ({ object }) =>
    object === 'organization.usage.completions.result' || object === 'organization.usage.embeddings.result',
  sums: () => createExportedSums('openai-usage-json', ['input', 'cached_read', 'output'], false),
  read: (result, place) => ({
    model: textAt(result.model, `${place}.model`),
    requests: countAt(result.num_model_requests, `${place}.num_model_requests`),
    tokens: {
      input: countAt(result.input_tokens, `${place}.input_tokens`),
      cached_read: countAt(result.input_cached_tokens, `${place}.input_cached_tokens`),
      output: countAt(result.output_tokens, `${place}.output_tokens`),
    },
    nanoUsd: null,
  }),
};

/** https://platform.openai.com/docs/api-reference/usage/costs */
const openAiCosts: ResultForm = {
  fits: ({ object }) => object === 'organization.costs.result',
  sums: () => createExportedSums('openai-costs-json', [], true),
  read(result, place) {
    const amount = membersOf(result.amount, `${place}.amount`);
    requireUsd(amount.currency, `${place}.amount.currency`);
    return {
      model: modelOfLineItem(textAt(result.line_item, `${place}.line_item`)),
      requests: null,
      tokens: null,
      nanoUsd: moneyAt(amount.value, nanoPlaces.dollars, `${place}.amount.value`),
    };
  },
};

/** https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-messages-usage-report */
const anthropicUsage: ResultForm = {
  fits: (result) => 'uncached_input_tokens' in result,
  sums: () =>
    createExportedSums(
      'anthropic-usage-json',
      ['input', 'cached_read', 'cache_write_5m', 'cache_write_1h', 'output'],
      false,
    ),
  read(result, place) {
    const writes = membersOf(result.cache_creation ?? {}, `${place}.cache_creation`);
    const at = (name: string) => countAt(result[name], `${place}.${name}`);
    const written = (name: string) => countAt(writes[name], `${place}.cache_creation.${name}`);
    return {
      model: textAt(result.model, `${place}.model`),
      requests: null,
      tokens: anthropicTokens({
        uncached: at('uncached_input_tokens'),
        cachedRead: at('cache_read_input_tokens'),
        write5m: written('ephemeral_5m_input_tokens'),
        write1h: written('ephemeral_1h_input_tokens'),
        output: at('output_tokens'),
      }),
      nanoUsd: null,
    };
  },
};

/** https://platform.claude.com/docs/en/api/admin-api/usage-cost/get-cost-report; amounts are in cents. */
const anthropicCosts: ResultForm = {
  fits: (result) => 'amount' in result && !('object' in result),
  sums: () => createExportedSums('anthropic-costs-json', [], true),
  read(result, place) {
    requireUsd(result.currency, `${place}.currency`);
    return {
      model: textAt(result.model, `${place}.model`),
      requests: null,
      tokens: null,
      nanoUsd: moneyAt(result.amount, nanoPlaces.cents, `${place}.amount`),
    };
  },
};

const forms = [openAiUsage, openAiCosts, anthropicUsage, anthropicCosts];

export function anthropicTokens(counts: {
  readonly uncached: number;
  readonly cachedRead: number;
  readonly write5m: number;
  readonly write1h: number;
  readonly output: number;
}) {
  const { uncached, cachedRead, write5m, write1h, output } = counts;
  return {
    input: uncached + cachedRead + write5m + write1h,
    cached_read: cachedRead,
    cache_write_5m: write5m,
    cache_write_1h: write1h,
    output,
  };
}

/** OpenAI names a model and what of it, as in `gpt-4o-2024-08-06, cached input`. */
export function modelOfLineItem(item: string | null): string | null {
  return item === null ? null : (item.split(',')[0]?.trim() ?? null);
}

/**
 * Reads what the usage and cost interfaces of OpenAI and Anthropic answer: a page, or a list of pages.
 * @throws AppError `invalid`, naming the member that is wrong.
 */
export function readJsonExport(given: unknown): ExportedUsage {
  const pages = Array.isArray(given) ? given : [given];
  if (pages.length > maxPages) throw exportFault('export', `more than ${maxPages} pages are too many`);
  let form: ResultForm | null = null;
  let sums: ExportedSums | null = null;
  const days: string[] = [];
  let results = 0;
  for (const [index, page] of pages.entries()) {
    const at = Array.isArray(given) ? `[${index}]` : '';
    const members = membersOf(page, at || 'export');
    if (!Array.isArray(members.data))
      throw exportFault(`${at}.data`.replace(/^\./, ''), 'is not a list of buckets');
    for (const [position, bucket] of members.data.entries()) {
      const place = `${at}.data[${position}]`.replace(/^\./, '');
      const { day, found } = bucketAt(bucket, place);
      days.push(day);
      for (const [number, item] of found.entries()) {
        const resultPlace = `${place}.results[${number}]`;
        const result = membersOf(item, resultPlace);
        if (++results > maxResults)
          throw exportFault(resultPlace, `more than ${maxResults} results are too many`);
        form ??= formOf(result, resultPlace);
        if (!form.fits(result))
          throw exportFault(resultPlace, 'is of another kind than the results before it');
        sums ??= form.sums();
        sums.add({ day, ...form.read(result, resultPlace) }, resultPlace);
      }
    }
  }
  const last = pages.at(-1) as Members | undefined;
  if (last?.has_more === true) {
    throw exportFault('has_more', 'there are more pages; fetch all of them and send them as a list');
  }
  if (sums === null) throw exportFault('export', 'holds no results');
  for (const day of days) sums.seen(day);
  return sums.done();
}

function bucketAt(given: unknown, place: string): { day: string; found: readonly unknown[] } {
  const bucket = membersOf(given, place);
  if (!Array.isArray(bucket.results)) throw exportFault(`${place}.results`, 'is not a list');
  const times =
    'starting_at' in bucket
      ? [timeAt(bucket.starting_at, `${place}.starting_at`), timeAt(bucket.ending_at, `${place}.ending_at`)]
      : [
          secondsAt(bucket.start_time, `${place}.start_time`),
          secondsAt(bucket.end_time, `${place}.end_time`),
        ];
  const [start = 0, end = 0] = times;
  return { day: dayOfBucket(start, end, place), found: bucket.results };
}

function formOf(result: Members, place: string): ResultForm {
  const form = forms.find((candidate) => candidate.fits(result));
  if (form) return form;
  throw exportFault(
    place,
    `${shown(result.object ?? Object.keys(result))} is not a usage or cost result of OpenAI or Anthropic that is known here`,
  );
}

function membersOf(value: unknown, place: string): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw exportFault(place, `${shown(value)} is not an object`);
  }
  return value as Members;
}
