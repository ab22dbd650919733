import { readFileSync } from 'node:fs';

/**
 * Bytes that the kernel holds for the connections of some ports of this machine, at either end: written and not yet taken
 * over by the other end, or received and not yet read. NaN where /proc does not exist.
 */
export function queuedBytes(ports: ReadonlySet<number>): number {
  try {
    return queuedIn(readFileSync('/proc/net/tcp', 'utf8'), ports);
  } catch {
    return Number.NaN;
  }
}

/** The same of the text of /proc/net/tcp: local and remote address, state, then `tx_queue:rx_queue`, all hexadecimal. */
export function queuedIn(table: string, ports: ReadonlySet<number>): number {
  let bytes = 0;
  for (const line of table.split('\n').slice(1)) {
    const [, local, remote, state, queues] = line.trim().split(/\s+/u);
    // What a listening socket has there is a count of connections.
    if (queues === undefined || state === '0A') continue;
    if (![local, remote].some((address) => ports.has(Number.parseInt(address?.split(':')[1] ?? '', 16))))
      continue;
    for (const queue of queues.split(':')) bytes += Number.parseInt(queue, 16);
  }
  return bytes;
}
