import { parseArgs } from 'node:util';
import { attack } from './attack.ts';

const usage = `Tries to reach another tenant's data: ids, names, words and cursors of others in every place of every operation,
each beside the same request with made-up ones. A whole server on ten database connections.

  npm run soak:tenants -- [options]

  --attempts 100000  how many attempts, of two requests each (default 100000)
  --seed 1           (default 1)

Exit code 1 when anything of another tenant's came out, made a difference, was changed, or stood in the log.
`;

const { values } = parseArgs({
  options: {
    help: { type: 'boolean' },
    attempts: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
  },
});

if (values.help) process.stdout.write(usage);
else {
  const began = performance.now();
  const figures = await attack(wholeNumber('attempts'), wholeNumber('seed'), (line) => {
    process.stdout.write(`${((performance.now() - began) / 1000).toFixed(0).padStart(5)} s  ${line}\n`);
  });
  // What each leak was, was told when it was found.
  process.stdout.write(`${JSON.stringify({ ...figures, leaks: figures.leaks.length }, null, 2)}\n`);
  process.exitCode = figures.leaks.length === 0 ? 0 : 1;
}

function wholeNumber(name: 'attempts' | 'seed'): number {
  const number = Number(values[name]);
  if (!Number.isSafeInteger(number) || number < 1)
    throw new RangeError(`--${name} takes a whole number from 1`);
  return number;
}
