import { mkdtempSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openServerLog, serverLogPath } from './server-log.ts';

describe('openServerLog', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'gatehouse-log-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('shows the end of what was written, and keeps the log of the start before', () => {
    for (const words of ['first', 'second', 'third']) {
      const log = openServerLog(directory);
      writeSync(log.fileDescriptor, `${words}\n`);
      expect(log.tail()).toBe(`${words}\n`);
      log.close();
    }
    expect(readFileSync(`${serverLogPath(directory)}.1`, 'utf8')).toBe('second\n');
    expect(statSync(serverLogPath(directory)).mode & 0o777).toBe(0o600);
  });

  it('empties a log that has grown too large, and only such a one', () => {
    const log = openServerLog(directory);
    const size = () => statSync(serverLogPath(directory)).size;
    writeSync(log.fileDescriptor, 'a line\n');
    log.trim();
    expect(size()).toBe(7);
    writeSync(log.fileDescriptor, Buffer.alloc(9 * 1024 * 1024, 'x'));
    log.trim();
    expect(size()).toBe(0);
    writeSync(log.fileDescriptor, 'the next line\n');
    expect(log.tail()).toBe('the next line\n');
    log.close();
  });
});
