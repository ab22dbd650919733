import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createLog } from '../platform/log.ts';
import { createSpool } from './spool.ts';

const directory = mkdtempSync(join(tmpdir(), 'gatehouse-spool-kill-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const program = fileURLToPath(new URL('../../test/harness/spool-writer.ts', import.meta.url));

/** Runs the writer until it has told of about `rows` rows, kills it, and gives the numbers it told of. */
async function writeAndKill(first: number, rows: number): Promise<number[]> {
  const writer = spawn(process.execPath, [program, directory, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  writer.stdout.on('data', (part) => {
    told += part;
    if (told.split('\n').length > rows) writer.kill('SIGKILL');
  });
  await once(writer, 'close');
  // The last line may have been cut by the kill; what is not a whole line was not told.
  return told.split('\n').slice(0, -1).map(Number);
}

describe('the spool of a process that is killed with -9', () => {
  it('has every row that was said to be written, killed again and again', async () => {
    const told: number[] = [];
    let first = 0;
    for (const rows of [1, 40, 7, 300, 120, 1_000]) {
      told.push(...(await writeAndKill(first, rows)));
      first = Math.max(...told) + 1_000_000;
    }
    const spool = createSpool({ directory, processName: 'zzz', log: createLog('silent') });
    spool.open();
    const found = new Set<number>();
    for (const segment of spool.segments()) {
      const { rows, torn } = await spool.take(segment);
      expect(torn).toBeLessThanOrEqual(1);
      for (const row of rows) found.add(JSON.parse(row).n);
    }
    expect(told.length).toBeGreaterThan(1_000);
    expect(told.filter((n) => !found.has(n))).toEqual([]);
  }, 60_000);
});
