import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { deflateSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { docxParagraph, makeDocx } from '../../../test/files/make-docx.ts';
import { makePdf, paragraph } from '../../../test/files/make-pdf.ts';
import { deflateBomb } from '../../../test/files/make-zip.ts';
import { type Clock, systemClock } from '../../platform/clock.ts';
import { createParser, defaultParseLimits, ParseFailure, type Parser, type ParserDeps } from './parser.ts';
import { spawnReader } from './spawn-reader.ts';

/** Starting processes takes its time on a busy machine. */
vi.setConfig({ testTimeout: 30_000 });

const MEBIBYTE = 1024 * 1024;
let folder = '';
let parser: Parser | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gatehouse-parser-'));
});
afterEach(() => parser?.stop());
afterAll(() => rm(folder, { recursive: true }));

function start(more: Partial<ParserDeps> = {}): Parser {
  parser = createParser({ maxWorkers: 2, log: { info: () => {}, warn: () => {} }, ...more });
  return parser;
}

async function file(fileName: string, content: Buffer | string): Promise<{ path: string; fileName: string }> {
  const path = join(folder, fileName);
  await writeFile(path, content);
  return { path, fileName };
}

async function failureOf(parsing: Promise<unknown>): Promise<ParseFailure> {
  const outcome = await parsing.catch((error: unknown) => error);
  if (outcome instanceof ParseFailure) return outcome;
  throw new Error('expected a ParseFailure', { cause: outcome });
}

/** A PDF of a few kilobytes whose one page unpacks to `mebibytes`: a deflated stream of a deflated stream. */
function pdfBomb(mebibytes: number): Buffer {
  const once = Buffer.concat([Buffer.from([0x78, 0x9c]), deflateBomb(mebibytes, ' '), Buffer.alloc(4)]);
  const rawStreams = [{ dictionary: '/Filter [/FlateDecode /FlateDecode]', content: deflateSync(once) }];
  return makePdf([], { rawStreams });
}

/** A clock on which the given duration passes at once, when `happens` has run, and every other takes its time. */
function clockSkipping(durationMs: number, happens: () => Promise<void> = async () => {}): Clock {
  return {
    ...systemClock,
    sleep: (ms, signal) => (ms === durationMs ? happens() : systemClock.sleep(ms, signal)),
  };
}

/** A clock on which the given duration never passes. */
function clockStopping(durationMs: number): Clock {
  return {
    ...systemClock,
    sleep: (ms, signal) => systemClock.sleep(ms === durationMs ? 2 ** 30 : ms, signal),
  };
}

describe('parser', () => {
  it('reads several files at once in processes that it uses again', async () => {
    const parsing = start();
    const files = await Promise.all([
      file('a.pdf', makePdf([paragraph(['From a PDF.'])])),
      file('b.docx', makeDocx(docxParagraph('From a DOCX.'))),
      file('c.html', '<p>From a page.</p>'),
      file('d.txt', `From a text with ${'many words '.repeat(100_000)}`),
      file('e.md', '# From Markdown'),
    ]);
    const texts = await Promise.all(files.map(async (one) => (await parsing.parse(one)).text.slice(0, 15)));
    expect(texts).toEqual([
      'From a PDF.',
      'From a DOCX.',
      'From a page.',
      'From a text wit',
      '# From Markdown',
    ]);
  });

  it('tells why a file cannot be read, and reads the next', async () => {
    const parsing = start({ maxWorkers: 1 });
    const [bad, good] = [await file('bad.pdf', '%PDF-1.7 cut'), await file('good.txt', 'fine')];
    const [refused, read] = await Promise.all([failureOf(parsing.parse(bad)), parsing.parse(good)]);
    expect(refused.reason).toBe('truncated_or_corrupt');
    expect(read.text).toBe('fine');
  });

  it('ends a file that takes too long, and only that file', async () => {
    const parsing = start({ clock: clockSkipping(12_345), limits: { timeMs: 12_345 } });
    const slow = failureOf(parsing.parse(await file('slow.pdf', pdfBomb(3000))));
    expect((await slow).reason).toBe('timeout');
    await parsing.stop();
    expect((await start().parse(await file('quick.txt', 'quick'))).text).toBe('quick');
  });

  it.runIf(process.platform === 'linux')(
    'ends a file that takes too much memory outside the heap',
    async () => {
      const parsing = start({ limits: { residentMiB: 300 } });
      const [bomb, good] = [await file('bomb.pdf', pdfBomb(3000)), await file('good.txt', 'fine')];
      const [refused, read] = await Promise.all([failureOf(parsing.parse(bomb)), parsing.parse(good)]);
      expect(refused.reason).toBe('out_of_memory');
      expect(read.text).toBe('fine');
    },
  );

  it('survives a file that exhausts the heap', async () => {
    const parsing = start({ maxWorkers: 1, limits: { heapMiB: 40 } });
    const body = Array.from({ length: 40_000 }, (_, index) =>
      docxParagraph(`Paragraph ${index * 7919}`),
    ).join('');
    const refused = await failureOf(parsing.parse(await file('large.docx', makeDocx(body))));
    expect(refused.reason).toBe('out_of_memory');
    expect((await parsing.parse(await file('small.txt', 'still here'))).text).toBe('still here');
  });

  it('refuses a hundred megabytes of one word without choking on it', async () => {
    const parsing = start();
    const refused = await failureOf(parsing.parse(await file('word.txt', Buffer.alloc(100 * MEBIBYTE, 'a'))));
    expect(refused.reason).toBe('too_large');
    const beyond = await failureOf(
      parsing.parse(await file('beyond.txt', Buffer.alloc(100 * MEBIBYTE + 1, 'a'))),
    );
    expect(beyond.reason).toBe('too_large');
    expect(beyond.message).toContain('104857600');
    const longest = Buffer.alloc(defaultParseLimits.textLength, 'a');
    expect((await parsing.parse(await file('longest.txt', longest))).text).toHaveLength(longest.length);
  });

  it('tells when the file is gone or shrinks while it is read', async () => {
    const missing = await failureOf(start().parse({ path: join(folder, 'missing'), fileName: 'a.txt' }));
    expect(missing.reason).toBe('unreadable');
    const shrinking = await file('shrinking.txt', Buffer.alloc(5 * MEBIBYTE, 'word '));
    const clock: Clock = {
      ...systemClock,
      sleep: (ms, signal) => {
        if (ms === 54_321) void truncate(shrinking.path, 10);
        return systemClock.sleep(ms, signal);
      },
    };
    await parser?.stop();
    const parsing = start({ maxWorkers: 1, clock, limits: { timeMs: 54_321 } });
    expect((await failureOf(parsing.parse(shrinking))).reason).toBe('unreadable');
    expect((await parsing.parse(await file('next.txt', 'next'))).text).toBe('next');
  });

  it('does not blame the file when no process can be started', async () => {
    const parsing = start({ limits: { heapMiB: Number.NaN } });
    await expect(parsing.parse(await file('one.txt', 'one'))).rejects.toMatchObject({
      code: 'dependency_down',
    });
  });

  it('lets a bounded number of files wait', async () => {
    const parsing = start({ maxWorkers: 1, maxWaiting: 1 });
    const one = await file('one.txt', 'one');
    const [first, second] = [parsing.parse(one), parsing.parse(one)];
    await expect(parsing.parse(one)).rejects.toMatchObject({ code: 'overloaded' });
    expect((await first).text + (await second).text).toBe('oneone');
  });

  it('refuses what waits or runs when it stops', async () => {
    const parsing = start({ maxWorkers: 1 });
    const slow = parsing.parse(await file('slow.pdf', pdfBomb(3000)));
    const waits = parsing.parse(await file('one.txt', 'one'));
    const outcomes = Promise.allSettled([slow, waits]);
    await parsing.stop();
    const stopped = {
      status: 'rejected',
      reason: expect.objectContaining({ code: 'shutting_down' }) as unknown,
    };
    expect(await outcomes).toEqual([stopped, stopped]);
    await expect(parsing.parse(await file('one.txt', 'one'))).rejects.toMatchObject({
      code: 'shutting_down',
    });
  });

  it.runIf(process.platform === 'linux')('keeps no process when there is nothing to read', async () => {
    const children = () => readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
    const before = children();
    const parsing = start({ clock: clockStopping(777), idleMs: 777 });
    await parsing.parse(await file('one.txt', 'one'));
    expect(children()).not.toBe(before);
    await parsing.stop();
    await start({ clock: clockSkipping(777), idleMs: 777 }).parse(await file('one.txt', 'one'));
    await vi.waitFor(() => expect(children()).toBe(before), { timeout: 5000 });
  });
});

describe('a reading process', () => {
  it('opens no connection for anything that a file names', async () => {
    let connections = 0;
    const server = createServer((_, response) => response.end('x')).on('connection', () => {
      connections += 1;
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
    const html = `<!doctype html><link rel="stylesheet" href="${address}"><script src="${address}"></script>
      <p>Text <img src="${address}" alt="picture"></p><iframe src="${address}"></iframe>`;
    const picture = `<w:p><w:r><w:drawing><pic:blipFill xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><a:blip
      xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" r:link="x1"/></pic:blipFill></w:drawing></w:r></w:p>`;
    const prolog = `<?xml version="1.0"?><!DOCTYPE x SYSTEM "${address}" [<!ENTITY e SYSTEM "${address}">]>`;
    const parsing = start();
    await parsing.parse(await file('a.html', html));
    await parsing
      .parse(await file('a.docx', makeDocx(picture + docxParagraph('&e;'), { prolog })))
      .catch(() => {});
    server.close();
    expect(connections).toBe(0);
  });

  it('can reach no file, network, program or secret of the server', async () => {
    const reader = spawnReader({ heapMiB: 64 }, new URL('./fixtures/peek.ts', import.meta.url));
    const [told] = (await once(reader.stdio[4] as Readable, 'data')) as [Buffer];
    expect(JSON.parse(told.toString('utf8'))).toEqual({
      could: [],
      environment: expect.not.arrayContaining(['PATH', 'HOME']) as unknown,
    });
    await once(reader, 'close');
  });

  it.runIf(process.platform === 'linux')(
    'ends with its server, even in the middle of a file that never ends',
    async () => {
      const server = spawn(process.execPath, [join(import.meta.dirname, 'fixtures/abandon.ts')], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [pid] = (await once(server.stdout, 'data')) as [Buffer];
      server.kill('SIGKILL');
      const state = () => readState(Number(pid.toString('utf8')));
      await vi.waitFor(() => expect(['Z', 'gone']).toContain(state()), { timeout: 10_000 });
    },
  );
});

/** The state letter of a process; a killed one that nobody has waited for yet is `Z`. */
function readState(pid: number): string {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? 'gone';
  } catch {
    return 'gone';
  }
}
