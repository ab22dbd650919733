/** One record of a CSV file and the line it begins on, for messages that a person can follow. */
export interface CsvRecord {
  readonly line: number;
  readonly fields: readonly string[];
}

/**
 * Reads CSV as RFC 4180 describes it: fields parted by commas, records by LF or CRLF, a quoted field may hold
 * commas, line breaks and doubled quotes. A byte order mark and blank lines are passed over.
 * Throws a plain `Error` naming the line when a quote is not closed or is followed by stray text.
 */
export function parseCsv(text: string): CsvRecord[] {
  const records: CsvRecord[] = [];
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0;
  let line = 1;
  while (at < text.length) {
    const startLine = line;
    const fields: string[] = [];
    for (;;) {
      const field = readField(text, at, line);
      fields.push(field.value);
      at = field.end;
      line = field.line;
      if (text[at] !== ',') break;
      at += 1;
    }
    if (text[at] === '\r') at += 1;
    if (text[at] === '\n') at += 1;
    line += 1;
    if (fields.length > 1 || fields[0] !== '') records.push({ line: startLine, fields });
  }
  return records;
}

interface Field {
  readonly value: string;
  /** Where the delimiter after the field stands. */
  readonly end: number;
  /** The line that `end` is on. */
  readonly line: number;
}

function readField(text: string, start: number, line: number): Field {
  if (text[start] !== '"') {
    const end = indexOfDelimiter(text, start);
    return { value: text.slice(start, end), end, line };
  }
  let value = '';
  let at = start + 1;
  for (;;) {
    const quote = text.indexOf('"', at);
    if (quote === -1) throw new Error(`line ${line}: a quoted field is never closed`);
    value += text.slice(at, quote);
    at = quote + 1;
    if (text[at] !== '"') break;
    value += '"';
    at += 1;
  }
  if (at !== indexOfDelimiter(text, at)) {
    throw new Error(`line ${line}: text follows the closing quote of a field`);
  }
  return { value, end: at, line: line + (value.match(/\n/g)?.length ?? 0) };
}

function indexOfDelimiter(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const letter = text[at];
    if (letter === ',' || letter === '\n' || (letter === '\r' && text[at + 1] === '\n')) return at;
  }
  return text.length;
}
