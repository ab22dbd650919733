import { writeSync } from 'node:fs';
import { createCallsUnderWay } from '../../src/costs/budgets/calls-under-way.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createLog } from '../../src/platform/log.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { principalOf } from './budgets.ts';

/**
 * A process to be killed: notes calls in the directory it is given, as fast as it can, ends most of them soon after, and
 * prints `noted <id>` once a call is noted, and `over <id>` before one is let go.
 */
const newId = createIds(systemClock, systemRandom);
const [directory = ''] = process.argv.slice(2);
const notes = createCallsUnderWay(directory, newId(), createLog('silent'));
notes.open();
/** Told before what comes after it is done; the stream's own writing may be put off. */
const say = (line: string) => writeSync(1, line);
const open: string[] = [];
for (let n = 0; ; n++) {
  const id = newId();
  notes.note({
    id,
    at: new Date(),
    principal: principalOf(newId()),
    correlationId: `c${n}`,
    promptId: null,
    tags: ['x'.repeat(n % 60)],
    operation: 'chat',
    dialect: 'openai-chat',
    route: null,
    provider: { name: 'sim', baseUrl: 'http://127.0.0.1:1/v1' },
    model: 'gpt-4o',
    tier: 'primary',
    streamed: false,
    inputTokens: n,
    outputTokens: 10,
  });
  say(`noted ${id}\n`);
  open.push(id);
  if (open.length > 50) {
    const over = open.splice(Math.floor(Math.random() * open.length), 1)[0] ?? '';
    say(`over ${over}\n`);
    notes.recorded(over, Promise.resolve());
  }
  // Endings happen in turns of their own.
  if (n % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
}
