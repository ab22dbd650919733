import { exportFault } from './export-fault.ts';

/** A record of a CSV file: its values by the header's names, and the line that it begins in, from 1. */
export interface CsvRecord {
  readonly line: number;
  readonly values: Readonly<Record<string, string>>;
}

const maxRecords = 500_000;
const maxColumns = 100;
const maxFieldLength = 4_096;

/**
 * Reads CSV (RFC 4180, `\n` or `\r\n`, a byte order mark or none) piece by piece as it arrives. Lines without anything on
 * them are passed over.
 * @param onRecord is called with each record, in their order.
 */
export function createCsvReader(onRecord: (record: CsvRecord) => void) {
  let header: readonly string[] | null = null;
  let fields: string[] = [];
  let field = '';
  let state: 'start' | 'plain' | 'quoted' | 'quote_in_quoted' = 'start';
  let line = 1;
  let recordLine = 1;
  let records = 0;
  let first = true;

  const endField = () => {
    if (fields.length >= maxColumns)
      throw exportFault(`line ${recordLine}`, `has more than ${maxColumns} columns`);
    fields.push(field);
    field = '';
    state = 'start';
  };
  const endRecord = () => {
    endField();
    const values = fields;
    fields = [];
    if (values.length === 1 && values[0] === '') return;
    if (header === null) {
      header = values.map((name) => name.trim().toLowerCase());
      return;
    }
    if (values.length !== header.length) {
      throw exportFault(
        `line ${recordLine}`,
        `has ${values.length} values, not ${header.length} as the header`,
      );
    }
    if (++records > maxRecords)
      throw exportFault(`line ${recordLine}`, `more than ${maxRecords} rows are too many`);
    onRecord({
      line: recordLine,
      values: Object.fromEntries(header.map((name, index) => [name, values[index] ?? ''])),
    });
  };

  return {
    header: () => header,
    write(piece: string): void {
      const text = first ? piece.replace(/^\uFEFF/, '') : piece;
      if (piece !== '') first = false;
      for (const letter of text) {
        if (letter === '\n') line++;
        if (state === 'quoted') {
          if (letter === '"') state = 'quote_in_quoted';
          else field += letter;
        } else if (letter === '"' && state === 'start') {
          state = 'quoted';
        } else if (letter === '"' && state === 'quote_in_quoted') {
          field += '"';
          state = 'quoted';
        } else if (letter === ',') {
          endField();
        } else if (letter === '\n') {
          endRecord();
          recordLine = line;
        } else if (letter !== '\r') {
          if (state === 'quote_in_quoted')
            throw exportFault(`line ${line}`, 'has something after a closing quote');
          state = 'plain';
          field += letter;
        }
        if (field.length > maxFieldLength) {
          throw exportFault(`line ${recordLine}`, `has a value of more than ${maxFieldLength} letters`);
        }
      }
    },
    /** @throws AppError `invalid` when the file ends within quotes. */
    end(): void {
      if (state === 'quoted') throw exportFault(`line ${recordLine}`, 'a quote is not closed');
      if (field !== '' || fields.length > 0) endRecord();
    },
  };
}
