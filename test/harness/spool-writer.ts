import { createSpool } from '../../src/costs/spool.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';

/**
 * A process to be killed: writes rows to the spool in the directory it is given, as fast as it can and several in each
 * turn of the event loop, and prints the number of each once it was told that the row is written.
 */
const newId = createIds(systemClock, systemRandom);
const [directory = '', first = '0'] = process.argv.slice(2);
const spool = createSpool({
  directory,
  processName: newId(),
  log: createLog('silent'),
  maxSegmentBytes: 20_000,
});
spool.open();
for (let n = Number(first); ; ) {
  const written: Promise<void>[] = [];
  const numbers: number[] = [];
  for (let k = 0; k < 5; k++, n++) {
    numbers.push(n);
    written.push(spool.append(JSON.stringify({ n, text: 'x'.repeat(n % 700) })));
  }
  await Promise.all(written);
  process.stdout.write(`${numbers.join('\n')}\n`);
}
