import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../tools/simulator/server.ts';
import {
  call,
  type Reply,
  type RunningServer,
  removeDirectory,
  startServer,
  temporaryDirectory,
} from './harness/server.ts';

/*
 * Limits as callers meet them: one server with small tiers, behind one proxy that it trusts, which is this machine at
 * 127.0.0.1. Whoever comes from 127.0.0.2 is nobody's proxy.
 */
const limits = `
limits:
  tiers:
    free: { requests_per_minute: 12, requests_per_day: 5000, queries_per_second: 1000, burst: 1000, queries_per_day: 1000, tokens_per_day: 5000, concurrent: 2 }
    starter: { requests_per_minute: 100000, requests_per_day: unlimited, queries_per_second: 1000, burst: 1000, queries_per_day: unlimited, tokens_per_day: unlimited, concurrent: 2 }
    professional: { requests_per_minute: 100000, requests_per_day: unlimited, queries_per_second: 1000, burst: 1000, queries_per_day: 50, tokens_per_day: 2000, concurrent: 100 }
    enterprise: { requests_per_minute: 100000, requests_per_day: unlimited, queries_per_second: unlimited, queries_per_day: unlimited, tokens_per_day: unlimited, concurrent: unlimited }
`;

let simulator: Simulator;
let server: RunningServer;
let folder = '';
let nextAddress = 0;

beforeAll(async () => {
  folder = await temporaryDirectory();
  const file = join(folder, 'gatehouse.yaml');
  await writeFile(file, limits);
  simulator = createSimulator({ seed: 9 });
  const { url } = await simulator.start();
  server = await startServer({ env: { GATEHOUSE_CONFIG: file, GATEHOUSE_TRUSTED_PROXIES: '127.0.0.1' } });
  await server.call('POST', '/api/v1/providers', { name: 'sim', kind: 'openai', base_url: `${url}/v1` });
  await server.call('PUT', '/api/v1/routes/fast', {
    tiers: [{ targets: [{ provider: 'sim', model: 'gpt-4o-mini' }] }],
  });
});
afterEach(() => simulator.reset());
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
  await removeDirectory(folder);
});

/** An address that nobody has used before, as the proxy tells it. */
const freshAddress = () => `203.0.113.${++nextAddress}`;
const at = (address: string) => ({ 'x-forwarded-for': address });

/** A tenant with that many keys of analysts. */
async function tenantOf(tier: string, keys = 1): Promise<{ slug: string; keys: string[] }> {
  const slug = `t-${randomBytes(4).toString('hex')}`;
  const made = await server.call('POST', '/api/v1/tenants', { name: slug, slug, tier, region: 'eu' });
  expect(made.status).toBe(201);
  const all: string[] = [];
  for (let n = 0; n < keys; n++) {
    const key = await server.call(
      'POST',
      '/api/v1/keys',
      { name: `k${n}`, role: 'analyst' },
      { 'x-tenant-id': slug },
    );
    expect(key.status).toBe(201);
    all.push(key.json.key);
  }
  return { slug, keys: all };
}

const hello = {
  model: 'fast',
  messages: [{ role: 'user' as const, content: 'Hello there' }],
  max_tokens: 20,
};
const ask = (
  key: string,
  method: string,
  path: string,
  body?: unknown,
  address = freshAddress(),
): Promise<Reply> => call(server.url, key, method, path, body, at(address));
const chat = (key: string, body: object = hello, address?: string) =>
  ask(key, 'POST', '/v1/chat/completions', body, address);
const limitNames = [
  'ratelimit',
  'ratelimit-policy',
  'x-ratelimit-limit',
  'x-ratelimit-remaining',
  'x-ratelimit-reset',
];
const told = ({ headers }: { headers: Headers }) => limitNames.map((name) => headers.get(name));
const tellsLimits = (reply: { headers: Headers }) => expect(told(reply)).not.toContain(null);
const rateLimits = async (key: string, address: string) => {
  const shown = await ask(key, 'GET', '/api/v1/rate-limits', undefined, address);
  expect(shown.status).toBe(200);
  return shown;
};
const named = (shown: Reply, name: string, scope: string) =>
  shown.json.limits.find((limit: any) => limit.limit === name && limit.scope === scope);

describe('a stranger', () => {
  it('has ten requests a minute, and is told so', async () => {
    const address = freshAddress();
    const knock = () => fetch(`${server.url}/api/v1/tenants`, { headers: at(address) });
    for (let n = 0; n < 10; n++) {
      const reply = await knock();
      expect(reply.status).toBe(401);
      tellsLimits(reply);
    }
    const refused = await knock();
    expect(refused.status).toBe(429);
    tellsLimits(refused);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ code: 'rate_limited', status: 429, scope: 'ip' });
    expect((await fetch(`${server.url}/api/v1/openapi.json`, { headers: at(address) })).status).toBe(429);
    // Probes are nobody's affair, and other addresses are others.
    expect((await fetch(`${server.url}/health/live`, { headers: at(address) })).status).toBe(200);
    expect((await fetch(`${server.url}/api/v1/openapi.json`, { headers: at(freshAddress()) })).status).toBe(
      200,
    );
  });

  it('cannot choose an address, nor get a new one from each of a network of IPv6', async () => {
    const spoofing = (claimed: string) =>
      new Promise<number>((resolve, reject) => {
        const { hostname, port } = new URL(server.url);
        const sent = httpRequest(
          { hostname, port, path: '/api/v1/tenants', localAddress: '127.0.0.2', headers: at(claimed) },
          (reply) => {
            reply.resume();
            resolve(reply.statusCode ?? 0);
          },
        );
        sent.on('error', reject).end();
      });
    const statuses: number[] = [];
    for (let n = 0; n < 12; n++) statuses.push(await spoofing(`198.51.100.${n}`));
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429]);

    const fromNetwork: number[] = [];
    for (let n = 1; n <= 12; n++) {
      const reply = await fetch(`${server.url}/api/v1/tenants`, {
        headers: at(`2001:db8:7:7::${n.toString(16)}`),
      });
      fromNetwork.push(reply.status);
    }
    expect(fromNetwork).toEqual([...Array(10).fill(401), 429, 429]);
  });

  it('guesses no password and no key beyond that, and holds up nobody who has one', async () => {
    const address = freshAddress();
    // Each for somebody else: tries at one account have a bound of their own.
    const signIn = (n = 0) =>
      fetch(`${server.url}/api/v1/auth/token`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...at(address) },
        body: JSON.stringify({ email: `nobody-${n}@example.com`, password: 'a wrong password' }),
      });
    const statuses: number[] = [];
    for (let n = 0; n < 6; n++) statuses.push((await signIn(n)).status);
    for (let n = 0; n < 6; n++) {
      const guess = `gh_${randomBytes(32).toString('base64url')}`;
      statuses.push((await ask(guess, 'GET', '/api/v1/keys', undefined, address)).status);
    }
    expect(statuses).toEqual([...Array(10).fill(401), 429, 429]);
    expect((await signIn()).status).toBe(429);
    const { keys } = await tenantOf('free');
    expect((await ask(keys[0] ?? '', 'GET', '/v1/models', undefined, address)).status).toBe(200);
  });
});

describe('a caller', () => {
  it('has the requests of the tier, whatever becomes of them, and others have their own', async () => {
    const { keys } = await tenantOf('free', 2);
    const [busy = '', calm = ''] = keys;
    const statuses: number[] = [];
    const get = (path: string) => ask(busy, 'GET', path);
    for (const path of ['/v1/models', '/v1/models/absent', '/api/v1/keys', '/nowhere']) {
      const reply = await get(path);
      statuses.push(reply.status);
      tellsLimits(reply);
    }
    for (const body of [hello, { ...hello, model: 'absent' }, '{oops', { ...hello, stream: true }]) {
      const reply = await ask(busy, 'POST', '/v1/chat/completions', body);
      statuses.push(reply.status);
      tellsLimits(reply);
    }
    expect(statuses).toEqual([200, 404, 403, 404, 200, 404, 400, 200]);
    const question = await ask(busy, 'POST', '/api/v1/search', { query: 'lighthouse' });
    expect(question.status).toBe(200);
    tellsLimits(question);
    for (let n = 9; n < 12; n++) expect((await get('/v1/models')).status).toBe(200);
    const refused = await get('/v1/models');
    expect(refused.status).toBe(429);
    tellsLimits(refused);
    expect(refused.headers.get('x-ratelimit-remaining')).toBe('0');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    for (const reply of [await chat(busy), await ask(busy, 'POST', '/v1/chat/completions', '{oops')]) {
      expect(reply.status).toBe(429);
      expect(reply.json.error).toMatchObject({ type: 'rate_limit_error', code: 'rate_limited' });
      tellsLimits(reply);
    }
    expect((await ask(calm, 'GET', '/v1/models')).status).toBe(200);
  });

  it('learns where each limit stands, as the headers say, and nothing of other tenants', async () => {
    const [north, south] = [await tenantOf('free'), await tenantOf('professional')];
    const [one = '', other = ''] = [north.keys[0], south.keys[0]];
    const address = freshAddress();
    const first = await chat(one, hello, address);
    expect(first.status).toBe(200);
    const shown = await rateLimits(one, address);
    expect(shown.json.tier).toBe('free');
    expect(shown.text).not.toContain(south.slug);
    expect(shown.json.limits.length).toBeGreaterThan(5);
    const remaining = Number(shown.headers.get('x-ratelimit-remaining'));
    expect(shown.json.limits.map((limit: any) => limit.remaining)).toContain(remaining);
    const before = await rateLimits(other, address);
    for (let n = 0; n < 3; n++) await chat(one, hello, address);
    const after = await rateLimits(other, address);
    for (const limit of before.json.limits) {
      const later = named(after, limit.limit, limit.scope);
      // Looking was a request itself; nothing else of this tenant has changed.
      const own = /request/.test(limit.limit) ? 1 : 0;
      if (limit.remaining !== null)
        expect({ ...limit, own, at: later.remaining }).toMatchObject({ at: limit.remaining - own });
    }
  });
});

describe('a tenant', () => {
  const clientOf = (key: string, maxRetries = 0) =>
    new OpenAI({ apiKey: key, baseURL: `${server.url}/v1`, maxRetries, defaultHeaders: at(freshAddress()) });

  it('has so many calls at a time, and a place back after every ending', async () => {
    const { keys } = await tenantOf('starter');
    const client = clientOf(keys[0] ?? '');
    const free = async () =>
      named(await rateLimits(keys[0] ?? '', freshAddress()), 'concurrent', 'tenant').remaining;
    simulator.setPace({ chunkDelayMs: 5_000 });
    const opened = await Promise.all(
      [1, 2].map(() => client.chat.completions.create({ ...hello, stream: true }).withResponse()),
    );
    for (const { response } of opened) tellsLimits(response);
    const refused = await client.chat.completions.create(hello).catch((error) => error);
    expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
    tellsLimits(refused);
    for (const { data } of opened) data.controller.abort();
    await expect.poll(free).toBe(2);
    simulator.setPace({ chunkDelayMs: 0 });
    for (let n = 0; n < 5; n++) {
      for await (const _part of await client.chat.completions.create({ ...hello, stream: true }));
    }
    simulator.setFault({ kind: 'cut-mid-stream' });
    for (let n = 0; n < 3; n++) {
      const stream = await client.chat.completions.create({ ...hello, stream: true });
      await expect(
        (async () => {
          for await (const _part of stream);
        })(),
      ).rejects.toThrow();
    }
    simulator.reset();
    await expect.poll(free).toBe(2);
    expect((await chat(keys[0] ?? '')).status).toBe(200);
  });

  it('is served in the end by clients that honour Retry-After', async () => {
    const { keys } = await tenantOf('starter');
    const key = keys[0] ?? '';
    simulator.setPace({ latencyMs: 300 });
    const several = await Promise.all(
      Array.from({ length: 4 }, () => clientOf(key, 5).chat.completions.create(hello)),
    );
    expect(several.map(({ object }) => object)).toEqual(Array(4).fill('chat.completion'));
    const anthropic = new Anthropic({
      apiKey: key,
      baseURL: server.url,
      maxRetries: 5,
      defaultHeaders: at(freshAddress()),
    });
    const message = { model: 'fast', max_tokens: 20, messages: hello.messages };
    const messages = await Promise.all(Array.from({ length: 4 }, () => anthropic.messages.create(message)));
    expect(messages.map(({ type }) => type)).toEqual(Array(4).fill('message'));
  });

  it('is refused in the words of Anthropic’s clients, too', async () => {
    const { keys } = await tenantOf('starter');
    simulator.setPace({ latencyMs: 60_000 });
    const leaving = new AbortController();
    const body = JSON.stringify(hello);
    const headers = {
      authorization: `Bearer ${keys[0]}`,
      'content-type': 'application/json',
      ...at(freshAddress()),
    };
    const held = [1, 2].map(() =>
      fetch(`${server.url}/v1/chat/completions`, {
        method: 'POST',
        headers,
        body,
        signal: leaving.signal,
      }).catch(() => {}),
    );
    await expect.poll(() => simulator.calls().length).toBe(2);
    const anthropic = new Anthropic({
      apiKey: keys[0] ?? '',
      baseURL: server.url,
      maxRetries: 0,
      defaultHeaders: at(freshAddress()),
    });
    const refused = await anthropic.messages
      .create({ model: 'fast', max_tokens: 20, messages: hello.messages })
      .catch((error) => error);
    expect(refused).toBeInstanceOf(Anthropic.RateLimitError);
    tellsLimits(refused);
    leaving.abort();
    await Promise.all(held);
  });

  it('pays its tokens of the day with what calls used, streams and aborted ones too', async () => {
    const { slug, keys } = await tenantOf('professional', 2);
    const key = keys[0] ?? '';
    const left = async () =>
      named(await rateLimits(key, freshAddress()), 'tokens_per_day', 'tenant').remaining;
    expect((await chat(key)).status).toBe(200);
    expect((await chat(key, { ...hello, stream: true })).status).toBe(200);
    const used = async () => {
      const ledger = await server.call('GET', '/api/v1/costs/ledger', undefined, { 'x-tenant-id': slug });
      return ledger.json.calls.reduce(
        (sum: number, row: any) => sum + row.input_tokens + row.output_tokens,
        0,
      );
    };
    await expect.poll(async () => (await left()) + (await used())).toBe(2_000);
    expect(await used()).toBeGreaterThan(0);
    // What may not fit is not begun, and leaves everything as it was.
    const before = await left();
    const long = 'word '.repeat(2_000);
    const refused = await chat(keys[1] ?? '', { ...hello, messages: [{ role: 'user', content: long }] });
    expect(refused.status).toBe(429);
    expect(refused.json.error).toMatchObject({ limit: 'tokens_per_day', scope: 'tenant' });
    expect(await left()).toBe(before);
  });
});

describe('a service of the platform’s own', () => {
  it('meets no limit of requests, and budgets all the same', async () => {
    const { slug, keys } = await tenantOf('free');
    const key = keys[0] ?? '';
    const client = new pg.Client({
      connectionString: `postgresql://gatehouse@localhost/gatehouse?host=${encodeURIComponent(`${server.dataDir}/run`)}&port=5432`,
    });
    await client.connect();
    await client.query(
      'update api_keys set internal = true where tenant_id = (select id from tenants where slug = $1)',
      [slug],
    );
    await client.end();
    const address = freshAddress();
    const statuses = async (times: number) =>
      Promise.all(
        Array.from(
          { length: times },
          async () => (await ask(key, 'GET', '/v1/models', undefined, address)).status,
        ),
      );
    await expect.poll(async () => (await statuses(20)).every((status) => status === 200)).toBe(true);
    const budget = await server.call(
      'POST',
      '/api/v1/costs/budget',
      { scope: 'tenant', period: 'day', limit_usd: '0.000001', hard_limit: true },
      { 'x-tenant-id': slug },
    );
    expect(budget.status).toBe(201);
    await expect.poll(async () => (await chat(key)).status).toBe(402);
  });
});

it('what was refused is counted by limit and scope', async () => {
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toMatch(/^rate_limit_violations_total\{limit="[a-z_]+",scope="ip"\} \d+$/m);
  expect(metrics).toMatch(/^rate_limit_violations_total\{limit="concurrent",scope="tenant"\} \d+$/m);
});
