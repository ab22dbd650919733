import { exportFault } from './export-fault.ts';

/** Classes of tokens that exports tell, as the ledger counts them: cached reads and writes are part of the input. */
export const comparedClasses = [
  'input',
  'cached_read',
  'cache_write_5m',
  'cache_write_1h',
  'output',
] as const;
export type ComparedClass = (typeof comparedClasses)[number];
export type ComparedTokens = Readonly<Partial<Record<ComparedClass, number>>>;

export const exportFormats = [
  'openai-usage-json',
  'openai-usage-csv',
  'openai-costs-json',
  'openai-costs-csv',
  'anthropic-usage-json',
  'anthropic-usage-csv',
  'anthropic-costs-json',
  'anthropic-costs-csv',
] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** One row of an export. What it does not tell is null, or left out of the tokens. */
export interface ExportedRow {
  readonly day: string;
  /** Null: not told by model. */
  readonly model: string | null;
  readonly requests: number | null;
  readonly tokens: ComparedTokens | null;
  readonly nanoUsd: bigint | null;
}

export interface ExportedUsage {
  readonly format: ExportFormat;
  /** The classes of tokens that such an export tells; none for one of costs. */
  readonly classes: readonly ComparedClass[];
  readonly tellsMoney: boolean;
  readonly tellsCalls: boolean;
  /** UTC days, both included; days without usage count. */
  readonly firstDay: string;
  readonly lastDay: string;
  /** Added up by day and model. */
  readonly rows: readonly ExportedRow[];
}

/** By day and model; ninety days of two hundred models. */
const maxGroups = 20_000;
const maxDays = 93;
const dayMs = 86_400_000;

/** Adds rows up by day and model, so that an export of every minute takes no more room than one of days. */
export function createExportedSums(
  format: ExportFormat,
  classes: readonly ComparedClass[],
  tellsMoney: boolean,
) {
  const groups = new Map<string, ExportedRow>();
  /** Over all days and models, by class of tokens; requests under a name of their own. */
  const counted = new Map<string, number>();
  let firstDay = '9999';
  let lastDay = '';
  const seen = (day: string) => {
    if (day < firstDay) firstDay = day;
    if (day > lastDay) lastDay = day;
  };
  /** Nothing that is shown later, a total or a drift, is more than these. */
  const count = ({ tokens, requests }: ExportedRow, place: string) => {
    for (const [name, more] of [...Object.entries(tokens ?? {}), ['requests', requests ?? 0] as const]) {
      const sum = (counted.get(name) ?? 0) + more;
      if (sum > Number.MAX_SAFE_INTEGER) throw exportFault(place, 'more is counted than there can be');
      counted.set(name, sum);
    }
  };
  return {
    /** A day that the export is about, whether or not anything was used. */
    seen,
    add(row: ExportedRow, place: string): void {
      seen(row.day);
      count(row, place);
      const key = `${row.day} ${row.model ?? ''}`;
      const known = groups.get(key);
      if (known === undefined && groups.size >= maxGroups) {
        throw exportFault(place, `more than ${maxGroups} models and days are too many`);
      }
      groups.set(key, known === undefined ? row : added(known, row));
    },
    /** @throws AppError `invalid` when there were no days, or too many. */
    done(): ExportedUsage {
      if (lastDay === '') throw exportFault('export', 'holds no rows');
      const days = (Date.parse(lastDay) - Date.parse(firstDay)) / dayMs + 1;
      if (days > maxDays)
        throw exportFault('export', `is about ${days} days; ${maxDays} are compared at most`);
      const rows = [...groups.values()];
      const tellsCalls = rows.some(({ requests }) => requests !== null);
      return { format, classes, tellsMoney, tellsCalls, firstDay, lastDay, rows };
    },
  };
}

export type ExportedSums = ReturnType<typeof createExportedSums>;

function added(a: ExportedRow, b: ExportedRow): ExportedRow {
  const tokens: Partial<Record<ComparedClass, number>> = { ...a.tokens };
  for (const [name, count] of Object.entries(b.tokens ?? {})) {
    tokens[name as ComparedClass] = (tokens[name as ComparedClass] ?? 0) + count;
  }
  return {
    day: a.day,
    model: a.model,
    requests: a.requests === null && b.requests === null ? null : (a.requests ?? 0) + (b.requests ?? 0),
    tokens: a.tokens === null && b.tokens === null ? null : tokens,
    nanoUsd: a.nanoUsd === null && b.nanoUsd === null ? null : (a.nanoUsd ?? 0n) + (b.nanoUsd ?? 0n),
  };
}
