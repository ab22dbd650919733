import { expect, it } from 'vitest';
import { runRounds } from './rounds.ts';

/*
 * A server that is killed at any moment loses nothing that it acknowledged. This is the short form of
 * `npm run soak:crash`, which kills some two hundred times.
 */
it('survives kill -9 during first boot, start, ingest and model calls', { timeout: 300_000 }, async ({
  signal,
}) => {
  const report = await runRounds({
    kills: 9,
    firstBootKills: 2,
    seed: 5,
    lookEvery: 1_000,
    activityMs: 1_200,
    signal,
  });
  expect(report.violations, `the data is kept in ${report.data_directory}`).toEqual([]);
  // That there was something to lose, and each kind of kill to lose it by.
  expect(Object.keys(report.kills)).toEqual(
    expect.arrayContaining(['server', 'database', 'server and database', 'family']),
  );
  expect(report.known.documents_acknowledged).toBeGreaterThan(5);
  expect(report.known.calls_finished).toBeGreaterThan(5);
});
