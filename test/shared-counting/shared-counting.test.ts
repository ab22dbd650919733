import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { redisIsInstalled, redisMissing } from '../harness/redis.ts';
import { spendBudget } from './budget.ts';
import { clientsOf, knock } from './callers.ts';
import { chatBody, type House, openHouse, sumOf, usd } from './house.ts';
import {
  queriesPerDay,
  queriesPerSecond,
  requestsPerMinute,
  streamsAtATime,
  tokensPerDay,
} from './limits.ts';
import { ask, crowd, statuses } from './load.ts';
import { loseRedis } from './redis-outage.ts';

/*
 * Limits and money, counted by two instances on one Redis and one PostgreSQL. `npm run soak:limits`, `soak:budgets` and
 * `soak:redis-outage` do the same in full size.
 */
describe.skipIf(!redisIsInstalled)(redisIsInstalled ? 'two instances' : redisMissing, () => {
  let house: House;
  beforeAll(async () => {
    house = await openHouse();
  });
  afterAll(() => house?.stop());

  describe('admit exactly what a limit allows, whoever asks where', () => {
    it('of requests in a minute', async () => {
      const { violations } = await requestsPerMinute(house, { callers: 200, limit: 100, windows: 1 });
      expect(violations).toEqual([]);
    });

    it('of queries a second, with their burst', async () => {
      const sizes = { callers: 40, rate: 20, burst: 30, seconds: 3 };
      expect((await queriesPerSecond(house, sizes)).violations).toEqual([]);
    });

    it('of queries a day', async () => {
      expect((await queriesPerDay(house, { callers: 200, limit: 100 })).violations).toEqual([]);
    });

    it('of tokens a day', async () => {
      const sizes = { callers: 100, limit: 20_000, each: 400 };
      expect((await tokensPerDay(house, sizes)).violations).toEqual([]);
    });

    it('of streams at a time, and what a killed one held comes back when its leases end', async () => {
      expect((await streamsAtATime(house, { callers: 100, limit: 30 })).violations).toEqual([]);
    });
  });

  describe('spend a hard budget together', () => {
    it('and pass it by no more than is said, through a kill that leaves the books right', async () => {
      const sizes = { seed: 1, limitUsd: '0.2', callers: 80, longest: 600, killAtShare: 0.4 };
      const { violations } = await spendBudget(house, sizes);
      expect(violations).toEqual([]);
    });
  });

  describe('know their callers', () => {
    const tenRefusals = [...Array(10).fill(401), 429, 429];
    const statusesOf = async (one: (n: number) => Promise<number>): Promise<number[]> => {
      const found: number[] = [];
      for (let n = 0; n < 12; n++) found.push(await one(n));
      return found;
    };

    it('a stranger with IPv6 is one network, whatever the address and wherever it asks', async () => {
      const network = (n: number) => knock(house, n, { claims: `2001:db8:0:9::${(n + 1).toString(16)}` });
      expect(await statusesOf(network)).toEqual(tenRefusals);
      expect(await knock(house, 0, { claims: '2001:db8:0:a::1' })).toBe(401);
    });

    it('who is no proxy cannot claim an address, and who is behind one cannot claim another', async () => {
      const fromOutside = (n: number) => knock(house, n, { from: '127.0.0.2', claims: `198.51.100.${n}` });
      expect(await statusesOf(fromOutside)).toEqual(tenRefusals);
      const behindProxy = (n: number) => knock(house, n, { claims: `198.51.100.${n}, 203.0.113.77` });
      expect(await statusesOf(behindProxy)).toEqual(tenRefusals);
    });

    it('an internal key meets no limit of requests and every budget', async () => {
      const figures = { requests_per_minute: 20, queries_per_second: 1, burst: 1, queries_per_day: 5 };
      const tenant = await house.tenant('internal', figures, { internal: true });
      const chat = (n: number) =>
        ask({ url: house.instances.server(n % 2).url, key: tenant.key }, chatBody(10));
      const before = await crowd(20, 2, (caller, turn) => chat(caller + turn));
      expect(statuses(before)).toEqual({ 200: 40 });
      const spent = sumOf((await house.ledger(tenant)).map((row) => BigInt(row.cost_nano_usd)));
      await house.budget(tenant, usd(spent + 2_000_000n));
      const after = await crowd(40, 2, (caller, turn) => chat(caller + turn));
      expect(Object.keys(statuses(after))).toEqual(['200', '402']);
      const total = sumOf((await house.ledger(tenant)).map((row) => BigInt(row.cost_nano_usd)));
      expect(total).toBeLessThanOrEqual(spent + 2_000_000n);
    });
  });

  describe('tell the official clients', () => {
    const messages = [{ role: 'user' as const, content: 'Hello there' }];
    const chat = { model: 'openai/gpt-4o', messages, max_tokens: 10 };

    it('when to come back, and they do', async () => {
      const tenant = await house.tenant('patient', { queries_per_second: 0.5, burst: 1 });
      const { openai, anthropic, traffic } = clientsOf(house, tenant, 2);
      expect((await openai.chat.completions.create(chat)).object).toBe('chat.completion');
      expect((await anthropic.messages.create(chat)).type).toBe('message');
      expect((await openai.chat.completions.create(chat)).object).toBe('chat.completion');
      expect(traffic.map(({ status }) => status)).toEqual([200, 429, 200, 429, 200]);
      for (const [at, { status, retryAfterMs, answeredAt }] of traffic.entries()) {
        if (status !== 429) continue;
        expect(retryAfterMs).toBeGreaterThanOrEqual(1_000);
        expect((traffic[at + 1]?.sentAt ?? 0) - answeredAt).toBeGreaterThanOrEqual(retryAfterMs - 50);
      }
      const { openai: hasty } = clientsOf(house, tenant, 0);
      const refused = await hasty.chat.completions.create(chat).catch((error) => error);
      expect(refused).toBeInstanceOf(OpenAI.RateLimitError);
      expect(refused).toMatchObject({ status: 429, code: 'rate_limited' });
      expect(refused.message).toMatch(/queries_per_second|queries a second/);
    });

    it('that the budget is spent, which they do not try again', async () => {
      const tenant = await house.tenant('spent');
      await house.budget(tenant, '0.0005');
      const { openai, anthropic, traffic } = clientsOf(house, tenant, 2);
      const dear = { ...chat, max_tokens: 1_000 };
      const refused = await openai.chat.completions.create(dear).catch((error) => error);
      expect(refused).toBeInstanceOf(OpenAI.APIError);
      expect(refused).toMatchObject({ status: 402, code: 'budget_exceeded' });
      expect(refused.message).toMatch(
        /402 This call may cost 0\.01\d+ USD, and of the budget of .* are left/,
      );
      const streamed = await openai.chat.completions
        .create({ ...dear, stream: true })
        .catch((error) => error);
      expect(streamed).toMatchObject({ status: 402, code: 'budget_exceeded' });
      const told = await anthropic.messages.create(dear).catch((error) => error);
      expect(told).toBeInstanceOf(Anthropic.APIError);
      expect(told).toMatchObject({ status: 402, error: { error: { type: 'billing_error' } } });
      expect(told.message).toMatch(/402 .*This call may cost 0\.01\d+ USD, and of the budget of .* are left/);
      expect(traffic.map(({ status }) => status)).toEqual([402, 402, 402]);
      // What is smaller still fits.
      expect((await openai.chat.completions.create(chat)).object).toBe('chat.completion');
    });
  });

  describe('lose Redis under five times the load', () => {
    it('and keep limits nearly and budgets wholly, answer every call, and count together again', async () => {
      const phases = { healthy: 2, killed: 4, frozen: 3, flapping: 4 };
      const sizes = { ...phases, rate: 10, perMinute: 60, limitUsd: '0.03' };
      expect((await loseRedis(house, sizes)).violations).toEqual([]);
    });
  });
});
