import { gzipSync } from 'node:zlib';
import { drained, type Exchange } from './exchange.ts';

const memberBytes = 8 * 1024 * 1024;
const defaultExpandBytes = 2 ** 30;

/**
 * Sends a reply whose body is a thousandth of what it expands to: one small gzip member of spaces after another, as
 * many as make up the fault's `expandBytes`. It begins as the expected answer would, so that only a limit on what is
 * expanded ends it.
 */
export async function sendGzipBomb(
  exchange: Exchange,
  headers: Readonly<Record<string, string>>,
  opening: string,
): Promise<void> {
  const { response, call, fault } = exchange;
  call.status = 200;
  response.writeHead(200, { ...headers, 'content-encoding': 'gzip' });
  response.flushHeaders();
  const spaces = gzipSync(Buffer.alloc(memberBytes, ' '), { level: 9 });
  const members = Math.ceil((fault?.expandBytes ?? defaultExpandBytes) / memberBytes);
  const open = gzipSync(opening);
  for (let member = 0; member <= members && !response.destroyed; member += 1) {
    const bytes = member === 0 ? open : spaces;
    call.replyBytes += bytes.length;
    if (!response.write(bytes)) await drained(response);
  }
  response.end();
}
