import type { Log } from '../log.ts';
import type { Secrets } from '../secret-box.ts';
import type { SealedColumn, SealedRow } from './sealed-columns.ts';

export interface Resealed {
  readonly resealed: number;
  /** Values that do not open; they stay as they are. */
  readonly failed: number;
  /** Ids of data keys that those which failed are sealed by. */
  readonly neededKeys: ReadonlySet<string>;
}

const batch = 100;

/**
 * Seals anew, by the current data keys, what others sealed. Each row is changed only if it still is as it was read, so
 * that it may run beside edits and beside itself; what does not open is left alone.
 */
export async function reseal(
  columns: readonly SealedColumn[],
  secrets: Secrets,
  deps: {
    readonly log: Log;
    readonly signal: AbortSignal;
    readonly keyOf: (sealed: string) => string | null;
  },
): Promise<Resealed> {
  let resealed = 0;
  let failed = 0;
  const neededKeys = new Set<string>();
  const one = async (column: SealedColumn, row: SealedRow): Promise<void> => {
    try {
      const values: string[] = [];
      for (const { sealed, purpose } of row.values) {
        values.push(
          await secrets.seal(await secrets.open(sealed, purpose, row.tenantId), purpose, row.tenantId),
        );
      }
      if (await column.replace(row, values)) resealed += 1;
    } catch (error) {
      failed += 1;
      for (const { sealed } of row.values) {
        const key = deps.keyOf(sealed);
        if (key !== null) neededKeys.add(key);
      }
      deps.log.warn(
        { err: error, column: column.name, id: row.id },
        'a stored secret could not be sealed anew',
      );
    }
  };
  for (const column of columns) {
    let after: string | null = null;
    for (;;) {
      if (deps.signal.aborted) return { resealed, failed, neededKeys };
      const rows: SealedRow[] = await column.stale(after, batch);
      for (const row of rows) await one(column, row);
      const last = rows.at(-1);
      if (!last || rows.length < batch) break;
      after = last.id;
    }
  }
  return { resealed, failed, neededKeys };
}
