import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './harness/child.ts';
import { type RunningInstances, startInstances } from './harness/instances.ts';
import { redisIsInstalled, redisMissing } from './harness/redis.ts';

/*
 * Several instances on one database, as their operator and their users meet them.
 */

describe('without Redis', () => {
  let instances: RunningInstances;
  beforeAll(async () => {
    instances = await startInstances({ count: 1, redis: false });
  });
  afterAll(() => instances?.stop());

  it('a second instance does not start, and says who is there and what to do', async () => {
    const second = await instances.launch();
    expect(await second.exited).toBe(1);
    const said = second.output().stderr;
    expect(said).toMatch(new RegExp(`process ${instances.server(0).process.pid} on \\S+, running since`));
    expect(said).toMatch(/Set REDIS_URL, to the same Redis for both, or stop the other one/);
    expect((await instances.call(0, 'GET', '/health/ready')).status).toBe(200);
  });

  it('killed, it starts again at once', async () => {
    await instances.kill9(0);
    await instances.restart(0);
    expect((await instances.call(0, 'GET', '/health/ready')).status).toBe(200);
  });
});

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'with Redis' : redisMissing, () => {
  let instances: RunningInstances;
  beforeAll(async () => {
    instances = await startInstances({ count: 2 });
  });
  afterAll(() => instances?.stop());

  const ask = (i: number, key: string, model: string) =>
    instances.callAs(i, key, 'POST', '/v1/chat/completions', {
      model,
      messages: [{ role: 'user', content: 'Hello' }],
    });

  it('one without Redis is refused beside them', async () => {
    const third = await instances.launch({ REDIS_URL: '' });
    expect(await third.exited).toBe(1);
    expect(third.output().stderr).toMatch(/this one has no Redis/);
  });

  it('a key made at one opens the other, and revoked at one it is dead at the other', async () => {
    const { admin } = await instances.tenant('keys');
    const made = await instances.callAs(1, admin, 'POST', '/api/v1/keys', { name: 'k', role: 'analyst' });
    expect(made.status).toBe(201);
    const works = (i: number) => instances.callAs(i, made.json.key, 'GET', '/api/v1/documents');
    await until(async () => (await works(0)).status === 200);
    expect((await instances.callAs(0, admin, 'DELETE', `/api/v1/keys/${made.json.id}`)).status).toBeLessThan(
      300,
    );
    await until(async () => (await works(1)).status === 401);
  });

  it('a route changed at one leads elsewhere at the other', async () => {
    const { admin } = await instances.tenant('routes');
    await instances.routeToSimulator(admin, 'fast', 'gpt-4o-mini');
    await until(async () => (await ask(1, admin, 'fast')).status === 200);
    await instances.routeToSimulator(admin, 'fast', 'gpt-4o');
    await until(async () => (await ask(1, admin, 'fast')).json.model === 'gpt-4o');
  });
});
