import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from './harness/child.ts';
import { type RunningInstances, startInstances } from './harness/instances.ts';
import { startLoadBalancer } from './harness/load-balancer.ts';
import { redisIsInstalled, redisMissing } from './harness/redis.ts';
import { startS3, type TestS3 } from './harness/s3.ts';
import { call } from './harness/server.ts';

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

  describe('documents', () => {
    const search = async (i: number, key: string, query: string) => {
      const reply = await instances.callAs(i, key, 'POST', '/api/v1/search', { query });
      expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 200 });
      return reply.json.hits.map((found: { document_id: string }) => found.document_id) as string[];
    };
    const add = async (i: number, key: string, title: string, text: string) => {
      const reply = await instances.callAs(i, key, 'POST', '/api/v1/documents?wait=true', { title, text });
      expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 201 });
      expect(reply.json.status).toBe('ready');
      return reply.json.id as string;
    };

    it('uploaded at one, ready, and found at both; deleted at the other, and gone from both', async () => {
      const { admin } = await instances.tenant('papers');
      const first = await add(0, admin, 'Herons', 'The grey heron fishes at the weir in the early morning.');
      expect(await search(1, admin, 'heron weir')).toEqual([first]);
      const second = await add(1, admin, 'Otters', 'The otter sleeps below the old bridge.');
      expect(await search(0, admin, 'otter bridge')).toEqual([second]);

      const receipt = await instances.callAs(1, admin, 'DELETE', `/api/v1/documents/${first}`);
      expect(receipt.json).toMatchObject({ completed_at: expect.any(String) });
      for (const i of [0, 1]) expect(await search(i, admin, 'heron weir')).toEqual([]);
    });

    it('of one that is killed while many are on their way are all found in the end, once it is back', async () => {
      const { admin } = await instances.tenant('many');
      const texts = Array.from(
        { length: 30 },
        (_, n) => `Report ${n} is about subject${n} and nothing else.`,
      );
      const accepted = await Promise.all(
        texts.map((text, n) =>
          instances.callAs(n % 2, admin, 'POST', '/api/v1/documents', { title: `Report ${n}`, text }),
        ),
      );
      await instances.kill9(1);
      expect(accepted.map(({ status }) => status)).toEqual(texts.map(() => 202));
      await instances.restart(1);
      await until(async () => {
        const states = await Promise.all(
          accepted.map(({ json }) => instances.callAs(0, admin, 'GET', `/api/v1/documents/${json.id}`)),
        );
        return states.every(({ json }) => json.status === 'ready');
      });
      for (const n of [0, 1, 28, 29]) {
        for (const i of [0, 1]) expect(await search(i, admin, `subject${n}`)).toEqual([accepted[n]?.json.id]);
      }
    });

    it('reach an instance that comes later, on an empty directory', async () => {
      const { admin } = await instances.tenant('late');
      const id = await add(0, admin, 'Swifts', 'Swifts sleep on the wing above the town.');
      const late = await instances.add();
      await until(async () => {
        const reply = await instances.callAs(late, admin, 'POST', '/api/v1/search', { query: 'swifts wing' });
        return reply.status === 200 && reply.json.hits[0]?.document_id === id;
      });
      await instances.stopOne(late);
    });
  });

  it('are restarted one after the other under load, and no request fails', async () => {
    const drainSeconds = { GATEHOUSE_DRAIN_SECONDS: '1' };
    for (const i of [0, 1]) {
      await instances.stopOne(i);
      await instances.restart(i, drainSeconds);
    }
    const { admin } = await instances.tenant('rolling');
    await instances.routeToSimulator(admin, 'fast');
    const document = { title: 'Herons', text: 'The grey heron fishes at the weir.' };
    await instances.callAs(0, admin, 'POST', '/api/v1/documents?wait=true', document);
    const balancer = await startLoadBalancer([0, 1].map((i) => instances.server(i).url));
    try {
      await until(async () => balancer.ready().length === 2);
      const failures: string[] = [];
      let done = 0;
      let over = false;
      const chat = { model: 'fast', messages: [{ role: 'user', content: 'Hello' }] };
      const kinds: [path: string, body: object, isWhole: (text: string) => boolean][] = [
        ['/v1/chat/completions', chat, (text) => text.includes('"finish_reason":"stop"')],
        [
          '/v1/chat/completions',
          { ...chat, stream: true },
          (text) => text.trimEnd().endsWith('data: [DONE]'),
        ],
        ['/api/v1/search', { query: 'heron' }, (text) => text.includes('grey heron')],
      ];
      const worker = async (n: number) => {
        for (let turn = n; !over; turn++) {
          const [path, body, isWhole] = kinds[turn % kinds.length] ?? (kinds[0] as (typeof kinds)[0]);
          const reply = await call(balancer.url, admin, 'POST', path, body).catch((error) => ({
            status: 0,
            text: String(error.cause ?? error),
          }));
          if (reply.status === 200 && isWhole(reply.text)) done += 1;
          else failures.push(`${path} ${reply.status} ${reply.text.slice(0, 300)}`);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      };
      const load = Promise.all(Array.from({ length: 4 }, (_, n) => worker(n)));
      for (const i of [0, 1]) {
        const before = done;
        expect(await instances.stopOne(i)).toBe(0);
        await instances.restart(i, drainSeconds);
        await until(async () => balancer.ready().length === 2 && done > before + 20);
      }
      over = true;
      await load;
      expect(failures).toEqual([]);
    } finally {
      await balancer.stop();
    }
  });
});

it.skipIf(!redisIsInstalled)(
  'three that start together on an empty database have one first boot',
  async () => {
    const instances = await startInstances({ count: 3, together: true, env: { GATEHOUSE_ADMIN_KEY: '' } });
    try {
      const greetings = [0, 1, 2].map((i) => instances.server(i).output().stdout);
      const passwords = greetings.flatMap((said) => /password (\S+)/.exec(said)?.[1] ?? []);
      const keys = greetings.flatMap((said) => /API key\s+(\S+)/.exec(said)?.[1] ?? []);
      expect([passwords.length, keys.length]).toEqual([1, 1]);
      for (const i of [0, 1, 2]) {
        const reply = await instances.callAs(i, keys[0] ?? '', 'GET', '/api/v1/tenants');
        expect({ status: reply.status, text: reply.text }).toMatchObject({ status: 200 });
        expect(reply.json).toMatchObject({ tenants: [{ slug: 'demo' }] });
      }
    } finally {
      await instances.stop();
    }
  },
);

describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'with Redis and S3' : redisMissing, () => {
  let s3: TestS3;
  let instances: RunningInstances;
  beforeAll(async () => {
    s3 = await startS3();
    instances = await startInstances({ count: 2, env: s3.env });
  });
  afterAll(async () => {
    await instances?.stop();
    await s3?.stop();
  });

  it('what one accepted and was killed over, the other reads, finds and deletes', async () => {
    const { admin } = await instances.tenant('shared');
    const accepted = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        instances.callAs(0, admin, 'POST', '/api/v1/documents', {
          title: `Report ${n}`,
          text: `Report ${n} is about subject${n} and nothing else.`,
        }),
      ),
    );
    await instances.kill9(0);
    expect(accepted.map(({ status }) => status)).toEqual(accepted.map(() => 202));
    const documents = accepted.map(({ json }) => `/api/v1/documents/${json.id}`);
    await until(async () => {
      const states = await Promise.all(documents.map((path) => instances.callAs(1, admin, 'GET', path)));
      return states.every(({ json }) => json.status === 'ready');
    });
    const found = await instances.callAs(1, admin, 'POST', '/api/v1/search', { query: 'subject17' });
    expect(found.json.hits.map((hit: { document_id: string }) => hit.document_id)).toEqual([
      accepted[17]?.json.id,
    ]);
    const receipt = await instances.callAs(1, admin, 'DELETE', documents[17] ?? '');
    expect(receipt.json).toMatchObject({ completed_at: expect.any(String) });
    await instances.restart(0);
    const after = await instances.callAs(0, admin, 'POST', '/api/v1/search', { query: 'subject17' });
    expect(after.json.hits).toEqual([]);
  });
});
