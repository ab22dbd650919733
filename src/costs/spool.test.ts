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
/** Takes all there is to take, as the ledger's writer does. */
async function taken(spool: Spool, done = true): Promise<string[]> {
  const rows: string[] = [];
  for (const segment of spool.segments()) {
    rows.push(...(await spool.take(segment)).rows);
    if (done) await spool.done(segment);
    else spool.putBack(segment);
  }
  return rows;
}
const row = (n: number) => JSON.stringify({ n, text: 'ü'.repeat(n % 40) });

describe('the spool', () => {
  it('gives out every row in order, and leaves no file behind', async () => {
    const spool = open('a', { maxSegmentBytes: 300 });
    const rows = Array.from({ length: 50 }, (_, n) => row(n));
    for (const json of rows) await spool.append(json);
    expect(readdirSync(directory).length).toBeGreaterThan(5);
    expect(spool.waiting().rows).toBe(50);
    expect(await taken(spool)).toEqual(rows);
    expect(spool.waiting().rows).toBe(0);
    expect(spool.segments()).toEqual([]);
    spool.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('has each row in the file when append resolves, so a killed process loses none', async () => {
    const killed = open('a');
    await killed.append('{"n":1}');
    await killed.append('{"n":2}');
    // Nothing was closed or flushed: this is what kill -9 leaves.
    const next = open('b');
    await next.append('{"n":3}');
    expect(await taken(next)).toEqual(['{"n":1}', '{"n":2}', '{"n":3}']);
    next.close();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('loses no row and repeats none that was done, whatever is appended, fails or crashes when', async () => {
    const command = fc.oneof(
      { weight: 6, arbitrary: fc.constant('append' as const) },
      {
        weight: 3,
        arbitrary: fc.constantFrom('take' as const, 'fail' as const, 'append while taking' as const),
      },
      { weight: 1, arbitrary: fc.constant('crash' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
        let started = 0;
        const start = () => open(`p${String(started++).padStart(3, '0')}`, { maxSegmentBytes: 200 });
        let spool = start();
        let appended = 0;
        const seen: string[] = [];
        let repeatsFrom = 0;
        const append = () => spool.append(row(appended++));
        for (const step of commands) {
          if (step === 'append') await append();
          else if (step === 'take') seen.push(...(await taken(spool)));
          else if (step === 'fail') seen.push(...(await taken(spool, false)));
          else if (step === 'crash') {
            spool = start();
            repeatsFrom = appended;
          } else {
            for (const segment of spool.segments()) {
              seen.push(...(await spool.take(segment)).rows);
              for (let n = 0; n < 20; n++) await append();
              await spool.done(segment);
            }
          }
        }
        seen.push(...(await taken(spool)));
        expect(spool.waiting().rows).toBe(0);
        expect(new Set(seen)).toEqual(new Set(Array.from({ length: appended }, (_, n) => row(n))));
        // Only a crash or a failure makes a row come twice: the ledger ignores the second one.
        if (!commands.includes('fail')) {
          const later = seen.filter((json) => JSON.parse(json).n >= repeatsFrom);
          expect(new Set(later).size).toBe(later.length);
        }
        spool.close();
        rmSync(directory, { recursive: true });
      }),
      { numRuns: 100 },
    );
  });

  it('writes what comes in one turn of the event loop together, and has it all when each is told so', async () => {
    const spool = open('a', { maxSegmentBytes: 200 });
    const rows = Array.from({ length: 30 }, (_, n) => row(n));
    await Promise.all(rows.map((json) => spool.append(json)));
    expect(await taken(open('b'))).toEqual(rows);
    spool.append('{"n":99}');
    expect(spool.waiting().rows).toBe(31);
    spool.close();
    expect(await taken(open('c'))).toEqual(['{"n":99}']);
  });

  it('reads from files what would take too much memory', async () => {
    const spool = open('a', { maxSegmentBytes: 100 });
    const rows = Array.from({ length: 200 }, (_, n) => row(n));
    for (const json of rows) await spool.append(json);
    expect(await taken(spool)).toEqual(rows);
  });

  it('skips a torn last line and keeps the rest', async () => {
    const killed = open('a');
    await killed.append('{"n":1}');
    await killed.append('{"n":2}');
    const [name = ''] = readdirSync(directory);
    truncateSync(join(directory, name), readFileSync(join(directory, name)).length - 3);
    const next = open('b');
    const [segment] = next.segments();
    expect(segment && (await next.take(segment))).toEqual({ rows: ['{"n":1}'], torn: 1 });
  });

  it('takes no more calls when full, and takes them again when there is room', async () => {
    const spool = open('a', { maxBytes: 100, maxSegmentBytes: 50 });
    expect(spool.hasRoom()).toBe(true);
    await spool.append(`{"text":"${'x'.repeat(100)}"}`);
    expect(spool.hasRoom()).toBe(false);
    await taken(spool);
    expect(spool.hasRoom()).toBe(true);
  });

  it('keeps what the disk refuses in memory and takes no more calls meanwhile', async () => {
    const spool = createSpool({ directory, processName: 'a', log });
    spool.open();
    spool.close();
    rmSync(directory, { recursive: true });
    await spool.append('{"n":1}');
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
