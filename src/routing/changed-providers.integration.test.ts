import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import {
  acme,
  described,
  given,
  key,
  keyUsed,
  newId,
  other,
  owner,
  principal,
  routingSuite,
  to,
} from '../../test/harness/routing-suite.ts';
import type { Principal } from '../access/index.ts';
import { systemRandom } from '../platform/random.ts';
import { createSecretBox } from '../platform/secret-box.ts';
import type { Routing } from './routing.service.ts';

const { instance, database } = routingSuite();

describe('a provider that is described anew', () => {
  const providerOf = (routing: Routing, who: Principal, name: string) => routing.provider(who, name);

  it('keeps its id, its routes and, when none are given, its keys', async () => {
    const routing = await instance();
    const made = await routing.createProvider(acme, given('mine'));
    await routing.putRoute(acme, 'fast', to('mine'));
    const put = await routing.putProvider(acme, 'mine', described({ keys: null, maxConcurrent: 7 }));
    expect(put).toMatchObject({ id: made.id, settings: { maxConcurrent: 7 } });
    expect(keyUsed(routing, acme, 'fast')).toBe('sk-test-0123456789abcdef');
    await routing.putProvider(acme, made.id, described({ keys: key('sk-test-rotated-0001') }));
    expect(keyUsed(routing, acme, 'fast')).toBe('sk-test-rotated-0001');
    expect(providerOf(routing, acme, 'mine').settings).toEqual({});
    // What was put is in the database, not in this instance's memory only.
    expect(keyUsed(await instance(), acme, 'fast')).toBe('sk-test-rotated-0001');
  });

  it('has several keys with weights, none of which is in the database', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    const keys = [...key('sk-test-aaaaaaaa1111', 3), ...key('sk-test-bbbbbbbb2222', 1)];
    await routing.putProvider(acme, 'mine', described({ keys }));
    const fresh = await instance();
    expect(providerOf(fresh, acme, 'mine').keys).toEqual([
      { value: 'sk-test-aaaaaaaa1111', hint: '1111', weight: 3 },
      { value: 'sk-test-bbbbbbbb2222', hint: '2222', weight: 1 },
    ]);
    const { rows } = await sql<{ row: string }>`select providers::text as row from providers`.execute(
      database().platform,
    );
    expect(rows[0]?.row).not.toContain('sk-test');
  });

  it('is another object only where something changed, and keeps the objects of keys that stay', async () => {
    const [routing, neighbour] = [await instance(), await instance()];
    await routing.createProvider(acme, given('mine', { keys: [...key('sk-1'), ...key('sk-2')] }));
    await routing.createProvider(acme, given('still'));
    await expect.poll(() => neighbour.providers(acme).length).toBe(3);
    const before = ['mine', 'still', 'openai'].map((name) => providerOf(neighbour, acme, name));
    // A change of something else makes a new snapshot of the same objects.
    await routing.putRoute(acme, 'fast', to('mine'));
    await expect.poll(() => neighbour.callableRoutes(acme).length).toBe(1);
    expect(['mine', 'still', 'openai'].map((name) => providerOf(neighbour, acme, name))).toSatisfy(
      (after: unknown[]) => after.every((provider, index) => provider === before[index]),
    );
    await routing.putProvider(acme, 'mine', described({ keys: [...key('sk-2'), ...key('sk-3')] }));
    await expect.poll(() => providerOf(neighbour, acme, 'mine') === before[0]).toBe(false);
    expect(providerOf(neighbour, acme, 'still')).toBe(before[1]);
    expect(providerOf(neighbour, acme, 'openai')).toBe(before[2]);
    expect(providerOf(neighbour, acme, 'mine').keys[0]).toBe(before[0]?.keys[1]);
    expect(neighbour.resolve(acme, 'fast').tiers[0]?.[0]?.provider).toBe(providerOf(neighbour, acme, 'mine'));
  });

  it('does not take its keys along to another server', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    const refused = { code: 'invalid', errors: [{ path: 'api_key' }] };
    for (const elsewhere of [
      { baseUrl: 'https://elsewhere.example.com/v1' },
      { baseUrl: 'http://models.example.com/v1' },
      { baseUrl: null },
      { kind: 'anthropic' as const },
    ]) {
      const put = routing.putProvider(acme, 'mine', described({ ...elsewhere, keys: null }));
      await expect(put).rejects.toMatchObject(refused);
    }
    // Another path on the same server is not another server, and whoever knows the key may send it anywhere.
    const baseUrl = 'https://models.example.com/v2';
    expect((await routing.putProvider(acme, 'mine', described({ baseUrl, keys: null }))).baseUrl).toBe(
      baseUrl,
    );
    const moved = described({ baseUrl: 'https://elsewhere.example.com/v1', keys: key('sk-other') });
    expect((await routing.putProvider(acme, 'mine', moved)).keys).toMatchObject([{ value: 'sk-other' }]);
  });

  it('belongs to those who may set it up, and answers two changes at once with a conflict', async () => {
    const routing = await instance();
    const shared = await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    for (const [who, name] of [
      [acme, 'shared'],
      [acme, shared.id],
      [other, 'mine'],
      [owner, 'openai'],
    ] as const) {
      await expect(routing.putProvider(who, name, described())).rejects.toMatchObject({ code: 'not_found' });
    }
    expect(() => routing.provider(other, 'mine')).toThrow(expect.objectContaining({ code: 'not_found' }));
    const puts = await Promise.allSettled(
      [1, 2, 3].map((maxConcurrent) => routing.putProvider(acme, 'mine', described({ maxConcurrent }))),
    );
    expect(puts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected', 'rejected']);
    const [lost] = puts.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
    expect(lost?.reason).toMatchObject({ code: 'conflict' });
    await routing.putProvider(acme, 'mine', described({ maxConcurrent: 4 }));
    expect(providerOf(routing, acme, 'mine').settings.maxConcurrent).toBe(4);
  });

  it('may stay on this machine where an owner put it, and not be moved there by anybody else', async () => {
    const routing = await instance();
    const named = principal('acme', 'owner', true);
    const local = { baseUrl: 'http://127.0.0.1:11434/v1' };
    await routing.createProvider(named, given('local', local));
    const kept = await routing.putProvider(
      acme,
      'local',
      described({ ...local, keys: null, maxConcurrent: 2 }),
    );
    expect(kept.localAddressesAllowed).toBe(true);
    const other = described({ baseUrl: 'http://127.0.0.1:8080/v1' });
    await expect(routing.putProvider(acme, 'local', other)).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'base_url' }],
    });
    const away = await routing.putProvider(acme, 'local', described());
    expect(away.localAddressesAllowed).toBe(false);
  });

  it('mends keys that cannot be opened', async () => {
    await (await instance()).createProvider(acme, given('mine'));
    const routing = await instance(Buffer.alloc(32, 2));
    await routing.putProvider(acme, 'mine', described({ keys: key('sk-test-again-0001') }));
    expect(providerOf(routing, acme, 'mine').keyProblem).toBeNull();
    expect(keyUsed(routing, acme, 'mine/m')).toBe('sk-test-again-0001');
  });
});

describe('rows of the version before', () => {
  it('are read with their one key, and that version finds the first key of a row of this one', async () => {
    const routing = await instance();
    const made = await routing.createProvider(acme, given('mine'));
    await sql`update providers set sealed_keys = null`.execute(database().platform);
    expect(keyUsed(await instance(), acme, 'mine/m')).toBe('sk-test-0123456789abcdef');
    await routing.putProvider(acme, 'mine', described({ keys: [...key('sk-new-1'), ...key('sk-new-2')] }));
    const { rows } = await sql<{ sealed: string }>`select sealed_key as sealed from providers`.execute(
      database().platform,
    );
    const box = createSecretBox(Buffer.alloc(32, 1), systemRandom);
    expect(box.open(rows[0]?.sealed ?? '', `provider:${made.id}`)).toBe('sk-new-1');
    // And routes that it writes have what they always had.
    await sql`insert into model_routes (id, tenant_id, name, tiers, created_by, created_at, updated_at)
      values (${newId()}, ${acme.tenantId}, 'old', '[{"targets":[{"provider":"mine","model":"m","weight":1}]}]', 'x',
        now(), now())`.execute(database().platform);
    expect((await instance()).resolve(acme, 'old')).toMatchObject({
      strategy: 'weighted',
      cache: { mode: 'off' },
    });
  });
});
