import { describe, expect, it } from 'vitest';
import type { ModelPath, ModelPathOptions } from '../../test/harness/model-path.ts';
import { hello, modelPathSuite, post } from '../../test/harness/model-path-suite.ts';
import {
  createSmallLimits,
  type SmallLimits,
  type SmallReservations,
} from '../../test/harness/small-limits.ts';
import type { Counters, MemoryCounters } from '../limits/index.ts';

const { simulator, start, upstream, providerUrl } = modelPathSuite();
const short = { ...hello, max_tokens: 10 };
const tokensPerDay = 100_000;

async function limited(
  given: SmallLimits,
  options: ModelPathOptions = {},
): Promise<{ path: ModelPath; small: SmallReservations }> {
  const small = createSmallLimits(given);
  const path = await start({ reservations: small, recorded: small.recorded, ...options });
  return { path, small };
}

/** The same counters a turn of the event loop away, as those on Redis are. */
const faraway = (memory: MemoryCounters): Counters => ({
  ...memory,
  admit: async (request) => {
    await new Promise(setImmediate);
    return memory.admit(request);
  },
});

const tokensOf = (rows: readonly Readonly<Record<string, unknown>>[]) =>
  rows.reduce((sum, row) => sum + Number(row.input_tokens) + Number(row.output_tokens), 0);
const costOf = (rows: readonly Readonly<Record<string, unknown>>[]) =>
  rows.reduce((sum, row) => sum + Number(row.cost_nano_usd), 0);
const settledOnce = ({ settled }: SmallReservations, calls: number) =>
  expect([...settled.values()]).toEqual(Array(calls).fill(1));

describe('limits of a call', () => {
  const everything = { requestsPerDay: 50, queriesAtATime: 2, tokensPerDay };

  it('are taken in one admission, and told with the answer', async () => {
    const admitted: string[][] = [];
    const { path, small } = await limited({
      ...everything,
      through: (memory) => ({
        ...memory,
        admit: (request) => {
          admitted.push(request.demands.map(({ counter }) => counter));
          return memory.admit(request);
        },
      }),
    });
    const reply = await post(path, short);
    expect(reply.status).toBe(200);
    expect(admitted).toEqual([['requests', 'queries', 'tokens']]);
    expect(reply.headers.get('x-ratelimit-of')).toMatch(/^requests=49,queries=1,tokens=99\d\d\d$/);
    const rows = await path.ledger();
    expect(small.left('tokens')).toBe(tokensPerDay - tokensOf(rows));
    expect(small.left('queries')).toBe(2);
    expect(small.learned).toEqual([Number(rows[0]?.output_tokens)]);
    settledOnce(small, 1);
  });

  const cut = (response: Parameters<Parameters<typeof upstream>[0]>[0]) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"id":"1","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n');
    setImmediate(() => response.destroy());
  };
  const endings: Readonly<Record<string, (path: ModelPath) => Promise<void>>> = {
    'a whole answer': async (path) => {
      expect((await post(path, short)).status).toBe(200);
    },
    'a stream': async (path) => {
      await (await post(path, { ...short, stream: true })).text();
    },
    'a stream that breaks': async (path) => {
      expect(await (await post(path, { ...short, model: 'cut', stream: true })).text()).toContain(
        'upstream_failed',
      );
    },
    'a stream whose reader leaves': async (path) => {
      simulator.setPace({ chunkDelayMs: 20 });
      const leaving = new AbortController();
      const reply = await post(path, { ...hello, stream: true }, {}, leaving.signal);
      await reply.body?.getReader().read();
      leaving.abort();
      await expect.poll(async () => (await path.ledger()).length).toBe(1);
    },
    'a refusal of the request': async (path) => {
      expect((await post(path, { ...short, model: 'picky' })).status).toBe(400);
    },
    'a provider that cannot be reached': async (path) => {
      expect((await post(path, { ...short, model: 'gone' })).status).toBe(502);
    },
    'a model that leads nowhere': async (path) => {
      expect((await post(path, { ...short, model: 'nothing' })).status).toBe(404);
    },
  };
  for (const far of [false, true]) {
    it.each(Object.keys(endings))(
      `are given back after %s, once${far ? ', over Redis too' : ''}`,
      async (name) => {
        const broken = await upstream(cut);
        const picky = await upstream((response) => response.writeHead(400).end('{"error":{"message":"no"}}'));
        const { path, small } = await limited(
          { ...everything, ...(far ? { through: faraway } : {}) },
          {
            providers: { sim: providerUrl(), cut: broken.url, picky: picky.url, gone: 'http://127.0.0.1:9' },
            routes: {
              fast: [[{ provider: 'sim', model: 'gpt-4o-mini' }]],
              picky: [[{ provider: 'picky', model: 'gpt-4o-mini' }]],
              cut: [[{ provider: 'cut', model: 'gpt-4o-mini' }]],
              gone: [[{ provider: 'gone', model: 'gpt-4o-mini' }]],
            },
          },
        );
        await endings[name]?.(path);
        await expect.poll(() => small.left('queries')).toBe(2);
        expect(small.left('requests')).toBe(49);
        expect(small.left('tokens')).toBe(tokensPerDay - tokensOf(await path.ledger()));
        settledOnce(small, name === 'a model that leads nowhere' ? 0 : 1);
      },
    );
  }

  it('refuse before anything is sent, and then take nothing', async () => {
    const { path, small } = await limited({ requestsPerDay: 50, tokensPerDay: 20 });
    const reply = await post(path, hello);
    expect(reply.status).toBe(429);
    expect(await reply.text()).toContain('no room: tokens');
    expect(reply.headers.get('x-ratelimit-of')).toBe('requests=50,tokens=20');
    expect(reply.headers.get('retry-after')).not.toBeNull();
    expect(simulator.calls()).toHaveLength(0);
    expect(await path.ledger()).toHaveLength(0);
    settledOnce(small, 0);
  });

  it.each([
    ['no JSON', '{oops', 400],
    ['no model', JSON.stringify({ messages: [] }), 400],
    ['an unknown model', JSON.stringify({ ...short, model: 'nothing' }), 404],
  ])('count a call with %s as a request, and refuse it as one', async (_what, body, status) => {
    const { path, small } = await limited({ ...everything, requestsPerDay: 2 });
    expect((await post(path, body)).status).toBe(status);
    expect(small.left('requests')).toBe(1);
    expect((await post(path, body)).status).toBe(status);
    const refused = await post(path, body);
    expect(refused.status).toBe(429);
    expect(refused.headers.get('x-ratelimit-of')).toBe('requests=0');
    expect(small.left('requests')).toBe(0);
  });

  it('hold what is expected, and a call in process is no query of its own', async () => {
    const { path, small } = await limited({ ...everything, outputTokens: 300 });
    simulator.setPace({ latencyMs: 60_000 });
    const leaving = new AbortController();
    const caller = { principal: path.principal, correlationId: 'question-0001', signal: leaving.signal };
    const asking = path.gateway.models.chat(caller, { model: 'fast', messages: hello.messages });
    await expect.poll(() => simulator.calls().length).toBe(1);
    expect(small.left('tokens')).toBeLessThan(tokensPerDay - 300);
    expect(small.left('tokens')).toBeGreaterThan(tokensPerDay - 400);
    expect([small.left('queries'), small.left('requests')]).toEqual([2, 50]);
    leaving.abort();
    await expect(asking).rejects.toMatchObject({ code: 'client_gone' });
    expect(small.left('tokens')).toBe(tokensPerDay - tokensOf(await path.ledger()));
  });

  it('of a further target are asked for before the call goes there', async () => {
    const bad = await upstream((response) => response.writeHead(500).end('{}'));
    const { path, small } = await limited(
      { ...everything, modelTokens: { 'gpt-4o': 20, 'gpt-4.1-mini': 1_000 } },
      {
        providers: { bad: bad.url, sim: providerUrl() },
        routes: {
          fast: [
            [{ provider: 'bad', model: 'gpt-4o-mini' }],
            [{ provider: 'sim', model: 'gpt-4o' }],
            [{ provider: 'sim', model: 'gpt-4.1-mini' }],
          ],
          dear: [[{ provider: 'bad', model: 'gpt-4o-mini' }], [{ provider: 'sim', model: 'gpt-4o' }]],
        },
      },
    );
    const reply = await post(path, { ...short, max_tokens: 50 });
    expect(reply.headers.get('x-gatehouse-generated-by')).toContain('model=gpt-4.1-mini');
    const rows = await path.ledger();
    expect(rows.map(({ model }) => model)).toEqual(['gpt-4o-mini', 'gpt-4.1-mini']);
    expect(small.left('tokens:gpt-4o')).toBe(20);
    expect(small.left('tokens:gpt-4.1-mini')).toBe(1_000 - tokensOf(rows.slice(1)));
    expect(small.left('tokens')).toBe(tokensPerDay - tokensOf(rows));
    expect(small.left('requests')).toBe(49);
    settledOnce(small, 2);
    // What is left is what its first target said: the other one was none of its caller's.
    expect((await post(path, { ...short, model: 'dear', max_tokens: 50 })).status).toBe(502);
  });
});

describe('budgets of a call', () => {
  /** Two calls of `short` fit at a time: each is expected to cost some 9,000. */
  const two = 20_000;

  it('are made known when they are not, hold what is expected, and are charged by the row', async () => {
    const { path, small } = await limited({ budgets: { all: 1_000_000 } });
    expect((await post(path, short)).status).toBe(200);
    const rows = await path.ledger();
    expect(small.left('budget:all')).toBe(1_000_000 - costOf(rows));
    expect(small.noted).toEqual([`${rows[0]?.id} gpt-4o-mini`]);
  });

  it('refuse with 402 what has no room, unsent; it was a request even so', async () => {
    const { path, small } = await limited({ requestsPerDay: 5, budgets: { all: 1_000 } });
    const reply = await post(path, short);
    expect(reply.status).toBe(402);
    expect(await reply.text()).toContain('budget:all: 1000 left');
    expect(small.left('requests')).toBe(4);
    expect(simulator.calls()).toHaveLength(0);
    expect(small.noted).toEqual([]);
  });

  for (const far of [false, true]) {
    it(`let calls wait for room that others hold${far ? ', over Redis too' : ''}`, async () => {
      const { path, small } = await limited({
        budgets: { all: two * 5 },
        patience: { ms: 10_000, waiters: 100 },
        ...(far ? { through: faraway } : {}),
      });
      simulator.setPace({ latencyMs: 5 });
      const replies = await Promise.all(Array.from({ length: 14 }, () => post(path, short)));
      const statuses = replies.map(({ status }) => status);
      const rows = await path.ledger();
      expect(new Set(statuses).size).toBeLessThanOrEqual(2);
      expect(statuses.filter((status) => status === 200)).toHaveLength(rows.length);
      expect(costOf(rows)).toBeLessThanOrEqual(two * 5);
      // Whoever was refused did not fit beside what had been spent in the end.
      const dearest = Math.max(...rows.map((row) => Number(row.cost_nano_usd)));
      if (statuses.includes(402)) expect(costOf(rows) + 10_000).toBeGreaterThan(two * 5 - dearest);
      expect(small.left('budget:all')).toBe(two * 5 - costOf(rows));
    });
  }

  it('let only so many wait, only so long, and not those whose client has left', async () => {
    const { path, small } = await limited({ budgets: { all: two }, patience: { ms: 60_000, waiters: 1 } });
    simulator.setPace({ latencyMs: 60_000 });
    const leaving = new AbortController();
    const held = [post(path, short, {}, leaving.signal), post(path, short, {}, leaving.signal)];
    await expect.poll(() => simulator.calls().length).toBe(2);
    const waiting = post(path, short, {}, leaving.signal).catch(() => 'left');
    // One waits, so the next ones are refused at once.
    await expect.poll(async () => (await post(path, short)).status).toBe(402);
    leaving.abort();
    expect(await waiting).toBe('left');
    await Promise.allSettled(held);
    simulator.setPace({ latencyMs: 0 });
    await expect.poll(async () => (await path.ledger()).length).toBe(2);
    await expect.poll(() => small.left('budget:all')).toBe(two - costOf(await path.ledger()));
  });

  it('of a further target are asked for, and only for what is not held yet', async () => {
    const bad = await upstream((response) => response.writeHead(500).end('{}'));
    const options = {
      providers: { bad: bad.url, sim: providerUrl() },
      routes: { fast: [[{ provider: 'bad', model: 'gpt-4o-mini' }], [{ provider: 'sim', model: 'gpt-4o' }]] },
    };
    // A call of gpt-4o costs some seventeen times as much.
    const poor = await limited({ budgets: { all: two } }, options);
    expect((await post(poor.path, short)).status).toBe(502);
    expect(simulator.calls()).toHaveLength(0);
    expect(poor.small.left('budget:all')).toBe(two);
    const rich = await limited({ budgets: { all: two * 10, 'gpt-4o': two * 10 } }, options);
    expect((await post(rich.path, short)).status).toBe(200);
    const rows = await rich.path.ledger();
    expect(rich.small.left('budget:all')).toBe(two * 10 - costOf(rows));
    expect(rich.small.left('budget:gpt-4o')).toBe(two * 10 - costOf(rows.slice(1)));
    const final = rows.at(-1);
    expect(rich.small.noted).toEqual([`${final?.id} gpt-4o-mini`, `${final?.id} gpt-4o`]);
    settledOnce(rich.small, 2);
  });
});
