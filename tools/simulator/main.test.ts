import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

const main = new URL('./main.ts', import.meta.url).pathname;

test('the command listens with its options, prints its address and ends on SIGTERM', async () => {
  const child = spawn(process.execPath, [
    main,
    ...['--port', '0', '--seed', '7', '--api-key', 'sk-test-cli'],
    ...['--fault', 'unavailable; times=1; path=/v1/embeddings'],
  ]);
  const exited = once(child, 'exit');
  const [url] = await once(createInterface(child.stdout), 'line');
  const models = await fetch(`${url}/v1/models`, { headers: { authorization: 'Bearer sk-test-cli' } });
  expect(models.status).toBe(200);
  const standing: unknown = await (await fetch(`${url}/__sim/faults`)).json();
  expect(standing).toEqual({
    faults: [{ kind: 'unavailable', probability: 1, times: 1, path: '/v1/embeddings' }],
  });
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('a wrong option is told and ends the command', async () => {
  const child = spawn(process.execPath, [main, '--latency-ms', 'soon']);
  let told = '';
  child.stderr.on('data', (chunk: Buffer) => {
    told += chunk.toString();
  });
  expect(await once(child, 'exit')).toEqual([1, null]);
  expect(told).toContain("--latency-ms takes a number of 0 or more, not 'soon'.");
});
