/**
 * A process to be killed: `node knowledge-process.ts <database url> <objects directory> <tenant id> <stage> <name>`.
 * Goes on with whatever work it finds, adds documents, and stays at the stage that it is told:
 * `committed` (added, its job not enqueued), `parse`, `index`, `forget` (deleting), or at none (`running`), adding one
 * document after the other.
 */
import { readFile } from 'node:fs/promises';
import { type Principal, roles } from '../../src/access/index.ts';
import { createKnowledge, type Knowledge } from '../../src/knowledge/index.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { createDatabase } from '../../src/platform/database/database.ts';
import { createIds } from '../../src/platform/ids.ts';
import { createJobs, type Jobs } from '../../src/platform/jobs/index.ts';
import { createLog } from '../../src/platform/log.ts';
import { createMetrics } from '../../src/platform/metrics.ts';
import { createFileObjects } from '../../src/platform/objects.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { createFedIndex } from './fed-index.ts';

const [url = '', objectsDir = '', tenantId = '', stage = '', name = ''] = process.argv.slice(2);
const clock = systemClock;
const newId = createIds(clock, systemRandom);
const log = createLog('error');

const say = (text: string) => process.stdout.write(`${text}\n`);
const stayAt = async (here: string): Promise<void> => {
  if (here !== stage) return;
  say(`at ${here}`);
  await new Promise(() => {});
};

const durable = createJobs({ url, executorId: 'gatehouse', clock, log });
const jobs: Jobs = {
  ...durable,
  register(definition) {
    const queue = durable.register(definition);
    return {
      ...queue,
      async enqueue(...work) {
        await stayAt('committed');
        return queue.enqueue(...work);
      },
    };
  },
};
const index = createFedIndex(() => knowledge.indexFeed, `${objectsDir}-index`);
const knowledge: Knowledge = createKnowledge({
  knowsRole: (_tenantId, role) => (roles as readonly string[]).includes(role),
  database: createDatabase({
    url,
    pool: { min: 0, max: 5 },
    statementTimeoutMs: 10_000,
    log,
    nowMs: clock.monotonicMs,
  }),
  objects: createFileObjects(objectsDir, newId),
  jobs,
  async parse({ path }) {
    await stayAt('parse');
    return { text: await readFile(path, 'utf8'), contentType: 'text/plain', warnings: [] };
  },
  async indexNow(id) {
    await stayAt('index');
    await index.indexNow(id);
  },
  indexHolds: index.indexHolds,
  derivedPlaces: [{ name: 'elsewhere', forget: () => stayAt('forget').then(() => 0), count: async () => 0 }],
  clock,
  newId,
  log,
  metrics: createMetrics(),
});
const principal = {
  tenantId,
  keyId: 'test',
  userId: null,
  readerTokens: ['user:test', 'all:documents'],
} as unknown as Principal;

await jobs.start();
knowledge.start();
const { documents } = knowledge;
for (let number = 1; ; number += 1) {
  const text = `Document ${number} of ${name}.`;
  const file = await documents.files.receiveText(principal, text, undefined);
  const { row } = await documents.add(principal, file, {});
  say(`acknowledged ${row.id} ${text}`);
  if (stage === 'forget') {
    await documents.settled(principal, row);
    await documents.remove(principal, row.id);
  }
  if (stage !== 'running') await new Promise(() => {});
}
