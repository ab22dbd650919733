/**
 * A process that writes to a search index until it is killed, for the tests of what a crash leaves:
 * `node index-writer.ts <directory> <tenant> <first write>`. Write n makes document `d<n mod 5>` three rows that
 * all say `write<n>`, and is reported on a line of its own once it is acknowledged.
 */
import { systemClock } from '../../src/platform/clock.ts';
import { createLanceDbIndex } from '../../src/retrieval/index/lancedb-index.ts';
import { indexRow, upsert, WORDS_ONLY } from '../contracts/search-index-rows.ts';

const [uri = '', tenantId = '', first = '0'] = process.argv.slice(2);
const index = createLanceDbIndex({
  uri,
  clock: systemClock,
  onOptimiseFailure: (_, cause) => {
    throw cause;
  },
});
for (let write = Number(first); ; write++) {
  const rows = [0, 1, 2].map((n) => indexRow(`d${write % 5}.${n}`, `write${write}`));
  await index.apply(tenantId, WORDS_ONLY, upsert(...rows));
  process.stdout.write(`${write}\n`);
  if (write % 4 === 3) await index.optimise(tenantId, WORDS_ONLY, { force: true });
}
