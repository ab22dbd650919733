import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const logModule = JSON.stringify(fileURLToPath(new URL('./log.ts', import.meta.url)));

/** A process that logs to its standard error: a real one, because that is where the difficulties are. */
function logging(script: string, standardError: number | 'pipe'): ChildProcess {
  const whole = `const { createLog } = await import(${logModule}); const log = createLog('info'); ${script}`;
  return spawn(process.execPath, ['--input-type=module', '--eval', whole], {
    stdio: ['ignore', 'pipe', standardError],
  });
}

async function output(stream: NodeJS.ReadableStream | null): Promise<string> {
  let text = '';
  for await (const chunk of stream ?? []) text += chunk;
  return text;
}

const numbers = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).n);

describe('the log', () => {
  it.each([
    ['leaves by itself', ''],
    ['is ended', 'process.exit();'],
  ])('holds every line, in order, of a process that %s', async (_, end) => {
    const script = `for (let n = 0; n < 5000; n++) { log.info({ n }, 'a line'); if (n % 1000 === 0) await null; } ${end}`;
    const child = logging(script, 'pipe');
    expect(numbers(await output(child.stderr))).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
  });

  // Every write to /dev/full fails as on a full disk.
  it.runIf(existsSync('/dev/full')).each([
    ['at once', ''],
    ['soon', 'await new Promise((resolve) => setImmediate(resolve));'],
    ['later', 'await new Promise((resolve) => setTimeout(resolve, 50)); log.info("again");'],
  ])('that cannot be written neither ends nor holds up a process that ends %s', async (_, wait) => {
    const child = logging(
      `log.info('a line'); ${wait} console.log('still here'); process.exit(7);`,
      openSync('/dev/full', 'w'),
    );
    const said = output(child.stdout);
    const [code] = await once(child, 'exit');
    expect({ code, said: await said }).toEqual({ code: 7, said: 'still here\n' });
  });

  it('that nobody reads is dropped beyond its bound, and says so', async () => {
    const script = `
      const line = 'x'.repeat(1000);
      for (let n = 0; n < 20_000; n++) log.info({ n }, line);
      console.log(process.memoryUsage().external < 64e6 ? 'bounded' : 'unbounded');`;
    const child = logging(script, 'pipe');
    const [said] = await once(child.stdout ?? child, 'data');
    expect(String(said).trim()).toBe('bounded');
    const text = await output(child.stderr);
    expect(text).toMatch(/"msg":"\d+ log lines were dropped/);
    expect(text.length).toBeLessThan(10_000_000);
  });
});
