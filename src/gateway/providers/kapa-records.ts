import type { JsonObject } from '../json-object.ts';
import { recordOf } from '../usage/token-counts.ts';

/** The symbol that ends each record of Kapa's streams. */
const recordEnd = '\u241e';

/** @returns a function that takes a stream's text as it comes and gives the records that are whole by then. */
export function createRecordSplitter(): (text: string) => JsonObject[] {
  // Joined when the record ends: a long one comes in many pieces, and none of them is looked at twice.
  let waiting: string[] = [];
  return (text) => {
    const [first = '', ...others] = text.split(recordEnd);
    waiting.push(first);
    const last = others.pop();
    if (last === undefined) return [];
    const records = [waiting.join(''), ...others];
    waiting = [last];
    return records.filter((record) => record.trim() !== '').map((record) => recordOf(JSON.parse(record)));
  };
}
