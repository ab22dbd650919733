import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  call,
  type Reply,
  type RunningServer,
  removeDirectory,
  startServer,
  testAdminKey,
} from './harness/server.ts';

let server: RunningServer;

beforeAll(async () => {
  // So low that a few clients reach it on any machine.
  server = await startServer({ env: { GATEHOUSE_SHED_DELAY_MS: '40' } });
});
afterAll(async () => {
  await server.stop();
  await removeDirectory(server.dataDir);
});

const level = async (): Promise<number> => {
  const { text } = await server.call('GET', '/metrics');
  return Number(/^http_overload_level (\d)/m.exec(text)?.[1] ?? Number.NaN);
};

const calm = async () => {
  while ((await level()) > 0) await new Promise((resolve) => setTimeout(resolve, 100));
};

it('refuses low-priority work first under more than it can do, keeps health and admin, loses nothing and recovers', async () => {
  await calm();
  // Parsing bodies of megabytes is work for the processor alone; the route they name is not there.
  const heavy = JSON.stringify({
    model: 'openai/none',
    messages: [{ role: 'user', content: '"\\'.repeat(1_500_000) }],
  });
  let over = false;
  const flood = Promise.all(
    Array.from({ length: 12 }, async () => {
      while (!over)
        await call(server.url, testAdminKey, 'POST', '/v1/chat/completions', heavy).catch(() => {});
    }),
  );
  const accepted = new Map<string, string>();
  const refused: Reply[] = [];
  const kept: Reply[] = [];
  try {
    for (let n = 0; refused.length < 5; n++) {
      if (n === 2_000) throw new Error('never overloaded');
      const title = `document ${n}`;
      const reply = await server.call('POST', '/api/v1/documents', { title, text: `Of the number ${n}.` });
      if (reply.status === 503) refused.push(reply);
      else accepted.set(reply.json.id, title);
      // Health and admin are answered all the while.
      kept.push(await server.call('GET', '/health/live'), await server.call('GET', '/health/ready'));
      kept.push(await server.call('GET', '/api/v1/keys?limit=1'));
    }
    expect(await level()).toBeGreaterThan(0);
  } finally {
    over = true;
    await flood;
  }
  expect(kept.map((r) => r.status).filter((status) => status !== 200)).toEqual([]);
  for (const reply of refused) {
    expect(reply.json.code).toBe('overloaded');
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
  }
  // Once there is no more than it can do, all is as before, and what was taken is there.
  await calm();
  for (const [id, title] of accepted) {
    const { status, json } = await server.call('GET', `/api/v1/documents/${id}`);
    expect([status, json.title]).toEqual([200, title]);
  }
  expect(
    (await server.call('POST', '/api/v1/documents', { title: 'after', text: 'After all.' })).status,
  ).toBe(202);
});
