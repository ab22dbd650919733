import { describe, expect, it } from 'vitest';
import { parsePostmasterFile } from './postmaster-file.ts';

const whole = [
  '4711',
  '/data/postgres',
  '1790000000',
  '5432',
  '/data/run',
  '',
  '  1234567   0',
  'ready   ',
  '',
];

describe('parsePostmasterFile', () => {
  it('reads what a running server says', () => {
    expect(parsePostmasterFile(whole.join('\n'))).toEqual({
      pid: 4711,
      databaseDirectory: '/data/postgres',
      socketDirectory: '/data/run',
      status: 'ready',
    });
  });

  it('reads a file that the server has only begun to write, line by line', () => {
    const begun = whole.map((_, count) => parsePostmasterFile(whole.slice(0, count + 1).join('\n')));
    expect(begun.map((file) => file?.status ?? null)).toEqual([...Array(7).fill(null), 'ready', 'ready']);
    expect(begun[1]).toEqual({
      pid: 4711,
      databaseDirectory: '/data/postgres',
      socketDirectory: null,
      status: null,
    });
  });

  it('gives null for what is not such a file', () => {
    for (const text of ['', '\n', 'x\n/data', '0\n/data', '4711'])
      expect(parsePostmasterFile(text)).toBeNull();
  });
});
