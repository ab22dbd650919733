import { setImmediate as nextTurn } from 'node:timers/promises';
import { AppError } from '../../platform/errors.ts';
import { createCsvExport } from './csv-export.ts';
import { exportFault } from './export-fault.ts';
import type { ExportedUsage } from './exported-usage.ts';
import { readJsonExport } from './json-export.ts';

/** CSV is read while it arrives; JSON has to be there as a whole. */
export const maxExportBytes = { csv: 32 * 1024 * 1024, json: 8 * 1024 * 1024 };

/**
 * Reads a provider's export as it arrives: JSON when it begins like it, else CSV.
 * @throws AppError `too_large`, or `invalid`, naming the line or member that is wrong.
 */
export async function readExport(pieces: AsyncIterable<Uint8Array>): Promise<ExportedUsage> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const csv = createCsvExport();
  const json: string[] = [];
  let kind: 'json' | 'csv' | null = null;
  let bytes = 0;
  const take = (text: string) => {
    kind ??= kindOf(text);
    if (kind === 'json') json.push(text);
    else if (kind === 'csv') csv.write(text);
  };
  for await (const piece of pieces) {
    bytes += piece.length;
    take(decoded(() => decoder.decode(piece, { stream: true })));
    const most = maxExportBytes[kind ?? 'csv'];
    if (bytes > most) {
      const mebibytes = most / 1024 / 1024;
      throw new AppError(
        'too_large',
        `An export of this form has at most ${mebibytes} MiB. Export fewer days at once.`,
      );
    }
    // So that others have their turn while a large file is read from memory.
    await nextTurn();
  }
  take(decoded(() => decoder.decode()));
  if (kind === null) throw exportFault('export', 'is empty');
  return kind === 'json' ? readJsonExport(parsed(json.join('').replace(/^\uFEFF/, ''))) : csv.done();
}

function kindOf(text: string): 'json' | 'csv' | null {
  const first = /[^\s\uFEFF]/.exec(text)?.[0];
  if (first === undefined) return null;
  return first === '{' || first === '[' ? 'json' : 'csv';
}

function decoded(decode: () => string): string {
  try {
    return decode();
  } catch {
    throw exportFault('export', 'is not text in UTF-8');
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw exportFault('export', `is not JSON: ${(error as Error).message.slice(0, 200)}`);
  }
}
