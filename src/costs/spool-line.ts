import { crc32 } from 'node:zlib';

/** One row of the spool on disk: eight hexadecimal digits of CRC-32 over the JSON, a blank, the JSON, a line feed. */
export function encodeSpoolLine(json: string): string {
  return `${crc32(json).toString(16).padStart(8, '0')} ${json}\n`;
}

/**
 * @param content a segment as read from disk.
 * @returns the rows that are whole, and how many lines are not. A process killed while writing leaves a torn last
 *   line, and a full disk a torn line in the middle: neither row's reply had been sent to its end.
 */
export function decodeSpoolLines(content: string): { rows: string[]; torn: number } {
  const rows: string[] = [];
  let torn = 0;
  for (const line of content.split('\n')) {
    if (line === '') continue;
    const json = line.slice(9);
    if (line[8] === ' ' && parseInt(line.slice(0, 8), 16) === crc32(json)) rows.push(json);
    else torn++;
  }
  return { rows, torn };
}
