import { type CsvRecord, createCsvReader } from './csv-reader.ts';
import { exportFault } from './export-fault.ts';
import { countAt, dayAt, dayOfBucket, moneyAt, requireUsd, secondsAt, textAt } from './export-values.ts';
import {
  createExportedSums,
  type ExportedRow,
  type ExportedSums,
  type ExportedUsage,
} from './exported-usage.ts';
import { anthropicTokens, modelOfLineItem } from './json-export.ts';

/** One form of CSV, told by its header. */
interface CsvForm {
  /** Columns that only this form has, all of them. */
  readonly columns: readonly string[];
  sums(): ExportedSums;
  /** Null: a bucket in which nothing was used. */
  read(values: CsvRecord['values'], place: (column: string) => string): ExportedRow | null;
}

const openAiDay = (values: CsvRecord['values'], place: (column: string) => string) =>
  dayOfBucket(
    secondsAt(values.start_time, place('start_time')),
    secondsAt(values.end_time, place('end_time')),
    place('start_time'),
  );

/** `completions_usage_*.csv` and `embeddings_usage_*.csv` of OpenAI's dashboard. */
const openAiUsage: CsvForm = {
  columns: ['start_time', 'end_time', 'input_tokens', 'num_model_requests'],
  sums: () => createExportedSums('openai-usage-csv', ['input', 'cached_read', 'output'], false),
  read(values, place) {
    const at = (name: string) => countAt(values[name], place(name));
    const used = {
      requests: at('num_model_requests'),
      input: at('input_tokens'),
      output: at('output_tokens'),
    };
    if (used.requests + used.input + used.output === 0) return null;
    return {
      day: openAiDay(values, place),
      model: textAt(values.model, place('model')),
      requests: used.requests,
      tokens: { input: used.input, cached_read: at('input_cached_tokens'), output: used.output },
      nanoUsd: null,
    };
  },
};

/** `cost_*.csv` of OpenAI's dashboard. */
const openAiCosts: CsvForm = {
  columns: ['start_time', 'end_time', 'amount_value'],
  sums: () => createExportedSums('openai-costs-csv', [], true),
  read(values, place) {
    if (values.amount_value === '') return null;
    requireUsd(values.amount_currency, place('amount_currency'));
    return {
      day: openAiDay(values, place),
      model: modelOfLineItem(textAt(values.line_item, place('line_item'))),
      requests: null,
      tokens: null,
      nanoUsd: moneyAt(values.amount_value, 9, place('amount_value')),
    };
  },
};

/** The usage page of Anthropic's console; before writes were told by their lifetime, there was one column of them. */
const anthropicUsage: CsvForm = {
  columns: ['usage_date_utc', 'usage_input_tokens_no_cache', 'usage_output_tokens'],
  sums: () =>
    createExportedSums(
      'anthropic-usage-csv',
      ['input', 'cached_read', 'cache_write_5m', 'cache_write_1h', 'output'],
      false,
    ),
  read(values, place) {
    const at = (name: string) => countAt(values[`usage_${name}`], place(`usage_${name}`));
    return {
      day: dayAt(values.usage_date_utc, place('usage_date_utc')),
      model: textAt(values.model_version ?? values.model, place('model_version')),
      requests: null,
      tokens: anthropicTokens({
        uncached: at('input_tokens_no_cache'),
        cachedRead: at('input_tokens_cache_read'),
        write5m: at('input_tokens_cache_write_5m') + at('input_tokens_cache_write'),
        write1h: at('input_tokens_cache_write_1h'),
        output: at('output_tokens'),
      }),
      nanoUsd: null,
    };
  },
};

/** The cost page of Anthropic's console, which gives models their display names. */
const anthropicCosts: CsvForm = {
  columns: ['usage_date_utc', 'cost_usd'],
  sums: () => createExportedSums('anthropic-costs-csv', [], true),
  read: (values, place) => ({
    day: dayAt(values.usage_date_utc, place('usage_date_utc')),
    model: textAt(values.model ?? values.model_version, place('model')),
    requests: null,
    tokens: null,
    nanoUsd: moneyAt(values.cost_usd, 9, place('cost_usd')),
  }),
};

const forms = [openAiUsage, openAiCosts, anthropicUsage, anthropicCosts];

/** Reads a CSV export while it arrives. */
export function createCsvExport() {
  let form: CsvForm | null = null;
  let sums: ExportedSums | null = null;
  const reader = createCsvReader(({ line, values }) => {
    form ??= formOf(Object.keys(values));
    sums ??= form.sums();
    const place = (column: string) => `line ${line}: ${column}`;
    const row = form.read(values, place);
    if (row !== null) sums.add(row, `line ${line}`);
    else sums.seen(openAiDay(values, place));
  });
  return {
    write: reader.write,
    /** @throws AppError `invalid`, naming the line that is wrong. */
    done(): ExportedUsage {
      reader.end();
      if (reader.header() !== null) formOf(reader.header() ?? []);
      if (sums === null) throw exportFault('export', 'holds no rows');
      return sums.done();
    },
  };
}

function formOf(header: readonly string[]): CsvForm {
  const form = forms.find(({ columns }) => columns.every((column) => header.includes(column)));
  if (form) return form;
  const known = forms.map(({ columns }) => columns.join(', ')).join('; or ');
  throw exportFault('line 1', `the header is of no form that is known here. It needs the columns ${known}`);
}
