import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { runRounds } from './rounds.ts';

const usage = `Kills a server with SIGKILL over and over while it ingests documents and calls models, and checks that it
loses nothing that it acknowledged.

  npm run soak:crash -- [options]

  --kills 200        how many SIGKILLs in all (default 200)
  --seed 1           decides whom, when and what is sent meanwhile (default 1)
  --activity-ms 2500 longest time between a ready server and its end (default 2500)
  --look-every 50    a full look at everything after each so many kills (default 50)
  --json FILE        write the report there too

Exit code 1 when anything was lost, doubled, changed or left over; the data directory is kept then.
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    'activity-ms': { type: 'string', default: '2500' },
    'look-every': { type: 'string', default: '50' },
    json: { type: 'string' },
  },
});

if (values.help) process.stdout.write(usage);
else process.exitCode = await soak();

async function soak(): Promise<number> {
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());
  const kills = wholeNumber('kills');
  const began = performance.now();
  const report = await runRounds({
    kills,
    firstBootKills: Math.ceil(kills * 0.06),
    seed: wholeNumber('seed'),
    lookEvery: wholeNumber('look-every'),
    activityMs: wholeNumber('activity-ms'),
    signal: stopping.signal,
    progress: (line) =>
      console.log(`${((performance.now() - began) / 1000).toFixed(1).padStart(7)} s  ${line}`),
  });
  const text = `${JSON.stringify(report, null, 2)}\n`;
  process.stdout.write(`\n${text}`);
  if (values.json !== undefined) await writeFile(values.json, text);
  return report.violations.length === 0 ? 0 : 1;
}

function wholeNumber(name: 'kills' | 'seed' | 'activity-ms' | 'look-every'): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${name} takes a whole number from 1`);
  return number;
}
