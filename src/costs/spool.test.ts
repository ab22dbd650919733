import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLog } from '../platform/log.ts';
import { createSpool, type Spool } from './spool.ts';
import { decodeSpoolLines, encodeSpoolLine } from './spool-line.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-spool-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const log = createLog('silent');
const open = (processName: string, limits: { maxBytes?: number; maxSegmentBytes?: number } = {}): Spool => {
  const spool = createSpool({ directory, processName, log, ...limits });
  spool.open();
  return spool;
};
const rowsOf = async (spool: Spool) => {
  const parts = await Promise.all(spool.endedSegments().map((segment) => spool.read(segment)));
  return parts.flatMap((part) => part.rows);
};

describe('the spool', () => {
  it('gives back every row in order, over as many segments as they fill', async () => {
    const spool = open('a', { maxSegmentBytes: 300 });
    const rows = Array.from({ length: 50 }, (_, n) => JSON.stringify({ n, text: 'ü'.repeat(n) }));
    for (const row of rows) spool.append(row);
    expect(await rowsOf(spool)).toEqual(rows);
    expect(spool.endedSegments().length).toBeGreaterThan(5);
    expect(spool.waiting().rows).toBe(50);
    for (const segment of spool.endedSegments()) await spool.remove(segment);
    expect(spool.waiting()).toEqual({ rows: 0, bytes: 0 });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('has each row in the file when append returns, so a killed process loses none', async () => {
    const killed = open('a');
    killed.append('{"n":1}');
    killed.append('{"n":2}');
    // Nothing was closed or flushed: this is what kill -9 leaves.
    const next = open('b');
    next.append('{"n":3}');
    expect(await rowsOf(next)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
  });

  it('skips a torn last line and keeps the rest', async () => {
    const killed = open('a');
    killed.append('{"n":1}');
    killed.append('{"n":2}');
    const [name = ''] = readdirSync(directory);
    truncateSync(join(directory, name), readFileSync(join(directory, name)).length - 3);
    const next = open('b');
    const [segment] = next.endedSegments();
    expect(segment && (await next.read(segment))).toEqual({ rows: ['{"n":1}'], torn: 1 });
  });

  it('takes no more calls when full, and takes them again when there is room', async () => {
    const spool = open('a', { maxBytes: 100 });
    expect(spool.hasRoom()).toBe(true);
    spool.append(`{"text":"${'x'.repeat(100)}"}`);
    expect(spool.hasRoom()).toBe(false);
    for (const segment of spool.endedSegments()) await spool.remove(segment);
    expect(spool.hasRoom()).toBe(true);
  });

  it('keeps what the disk refuses in memory and takes no more calls meanwhile', () => {
    const spool = createSpool({ directory, processName: 'a', log });
    spool.open();
    spool.close();
    rmSync(directory, { recursive: true });
    spool.append('{"n":1}');
    expect(spool.hasRoom()).toBe(false);
    expect(spool.refused()).toEqual(['{"n":1}']);
    expect(spool.waiting().rows).toBe(1);
    spool.forgetRefused(1);
    expect(spool.hasRoom()).toBe(true);
  });
});

describe('spool lines', () => {
  it('come back as they were, and a flipped or cut byte loses only its own line', () => {
    const json = fc.json().filter((text) => !text.includes('\n'));
    fc.assert(
      fc.property(
        fc.array(json, { minLength: 1, maxLength: 8 }),
        fc.nat(),
        fc.nat(),
        (rows, which, where) => {
          const lines = rows.map(encodeSpoolLine);
          expect(decodeSpoolLines(lines.join(''))).toEqual({ rows, torn: 0 });
          const broken = which % rows.length;
          const line = lines[broken] ?? '';
          const cut = `${line.slice(0, where % (line.length - 1))}\n`;
          const content = lines.map((whole, index) => (index === broken ? cut : whole)).join('');
          const left = decodeSpoolLines(content);
          expect(left.rows).toEqual(rows.filter((_, index) => index !== broken));
        },
      ),
    );
  });

  it('reads nothing out of what is no spool at all', () => {
    writeFileSync(join(directory, 'a.jsonl'), 'hello\n\u0000\u0000\u0000');
    appendFileSync(join(directory, 'a.jsonl'), '{"n":1}\n');
    expect(decodeSpoolLines(readFileSync(join(directory, 'a.jsonl'), 'utf8'))).toEqual({ rows: [], torn: 2 });
  });
});
