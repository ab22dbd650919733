import { Agent, get, type IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { openEntrance } from '../../test/harness/open-doors.ts';
import type { Access } from '../access/index.ts';
import type { Routes } from '../platform/api.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { createMetrics } from '../platform/metrics.ts';
import { systemRandom } from '../platform/random.ts';
import { createHttp } from './index.ts';

/** A server in the middle of a stream that ends once it is let, and its reader, who would keep the connection. */
async function streamingServer() {
  let answer = (_text: string): void => {};
  const answered = new Promise<string>((resolve) => {
    answer = resolve;
  });
  const routes: Routes = (api) => {
    api.get('/slow', { config: { access: { public: 'For the test.' } } }, async (_request, reply) => {
      const { raw } = reply.hijack();
      raw.writeHead(200);
      raw.write('first ');
      raw.end(await answered);
    });
  };
  const http = await createHttp({
    limits: openEntrance(),
    access: {} as unknown as Access,
    clock: systemClock,
    newId: createIds(systemClock, systemRandom),
    log: createLog('silent'),
    metrics: createMetrics(),
    version: '0.0.0',
    platformRoutes: [routes],
    modelRoutes: [],
    rootRoutes: [],
  });
  const port = await http.listen('127.0.0.1', 0);
  const agent = new Agent({ keepAlive: true });
  const reply = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/api/v1/slow', agent }, resolve).on('error', reject);
  });
  return { http, answer, text: textOf(reply) };
}

async function textOf(reply: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of reply) text += part;
  return text;
}

it('waits for a stream, and not for the connection that its client would keep', async () => {
  const { http, answer, text } = await streamingServer();
  const stopped = http.stop(3_600_000);
  await expect.poll(() => http.api.server.listening).toBe(false);
  answer('done');
  expect(await text).toBe('first done');
  await stopped;
});

it('says its last words when the time is up, and lets them arrive', async () => {
  const { http, answer, text } = await streamingServer();
  await http.stop(10, () => answer('and last'));
  expect(await text).toBe('first and last');
});

it('cuts what is left even so', async () => {
  const { http, text } = await streamingServer();
  const seen = expect(text).rejects.toThrow();
  await http.stop(10, () => {});
  await seen;
});
