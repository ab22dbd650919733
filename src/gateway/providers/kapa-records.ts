import type { JsonObject } from '../json-object.ts';
import { recordOf } from '../usage/token-counts.ts';

/** The symbol that ends each record of Kapa's streams. */
const recordEnd = '\u241e';

/** @returns a function that takes a stream's text as it comes and gives the records that are whole by then. */
export function createRecordSplitter(): (text: string) => JsonObject[] {
  let waiting = '';
  return (text) => {
    const records = (waiting + text).split(recordEnd);
    waiting = records.pop() ?? '';
    return records.filter((record) => record.trim() !== '').map((record) => recordOf(JSON.parse(record)));
  };
}
