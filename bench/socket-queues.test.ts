import { expect, it } from 'vitest';
import { queuedIn } from './socket-queues.ts';

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000011 00:00000000 00000000     0        0 1 1
   1: 0100007F:1F90 0100007F:A001 01 00000100:00000002 00:00000000 00000000     0        0 2 1
   2: 0100007F:A001 0100007F:1F90 01 00000000:00000010 00:00000000 00000000     0        0 3 1
   3: 0100007F:1538 0100007F:A002 01 00001000:00001000 00:00000000 00000000     0        0 4 1
`;

it('adds up both queues at both ends of the connections of a port, and not those who wait to be let in', () => {
  expect(queuedIn(table, new Set([0x1f90]))).toBe(0x100 + 2 + 0x10);
  expect(queuedIn(table, new Set([0x1f90, 0x1538]))).toBe(0x100 + 2 + 0x10 + 0x2000);
  expect(queuedIn(table, new Set([1]))).toBe(0);
});
