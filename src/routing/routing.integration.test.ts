import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import {
  acme,
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

const { instance, database } = routingSuite();

describe('providers', () => {
  it('belong to the tenant that set them up, or to the platform when an owner named no tenant', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await routing.createProvider(owner, given('shared'));
    await routing.createProvider(principal('other', 'owner', true), given('theirs'));
    const names = (who: Principal) => routing.providers(who).map((provider) => provider.name);
    expect(names(acme).sort()).toEqual(['mine', 'openai', 'shared']);
    expect(names(other).sort()).toEqual(['openai', 'shared', 'theirs']);
    expect(names(owner).sort()).toEqual(['openai', 'shared']);
  });

  it('are usable at once, with a key that is nowhere in the database', async () => {
    const routing = await instance();
    const provider = await routing.createProvider(acme, given('mine'));
    expect(provider).toMatchObject({ keys: [{ hint: 'cdef' }], baseUrl: 'https://models.example.com/v1' });
    expect(keyUsed(routing, acme, 'mine/m')).toBe('sk-test-0123456789abcdef');
    const { rows } = await sql<{ row: string }>`select providers::text as row from providers`.execute(
      database().platform,
    );
    expect(rows[0]?.row).not.toContain('sk-test');
    expect(
      (await routing.createProvider(acme, given('short', { keys: key('tiny') }))).keys[0]?.hint,
    ).toBeNull();
    expect((await routing.createProvider(acme, given('open', { keys: null }))).keys).toEqual([]);
  });

  it('of the platform win over the environment’s, and the tenant’s over both', async () => {
    const routing = await instance();
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-env');
    await routing.createProvider(owner, given('openai', { keys: key('sk-platform') }));
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-platform');
    await routing.createProvider(acme, given('openai', { keys: key('sk-tenant') }));
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-tenant');
    expect(keyUsed(routing, other, 'openai/m')).toBe('sk-platform');
  });

  it('have one name each, and an address that may be used', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await expect(routing.createProvider(acme, given('mine'))).rejects.toMatchObject({ code: 'conflict' });
    await routing.createProvider(owner, given('shared'));
    await expect(routing.createProvider(owner, given('shared'))).rejects.toMatchObject({ code: 'conflict' });
    const local = { baseUrl: 'http://127.0.0.1:11434/v1' };
    await expect(routing.createProvider(acme, given('x', local))).rejects.toMatchObject({ code: 'invalid' });
    expect((await routing.createProvider(owner, given('local', local))).localAddressesAllowed).toBe(true);
  });

  it('are deleted by id or name by those whose they are, and not while a route needs them', async () => {
    const routing = await instance();
    const shared = await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    await expect(routing.deleteProvider(acme, 'shared')).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(acme, shared.id)).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(other, 'mine')).rejects.toMatchObject({ code: 'not_found' });
    await expect(routing.deleteProvider(owner, 'openai')).rejects.toMatchObject({ code: 'not_found' });
    await routing.putRoute(other, 'fast', to('shared'));
    await expect(routing.deleteProvider(owner, 'shared')).rejects.toMatchObject({ code: 'conflict' });
    await routing.deleteRoute(other, 'fast');
    await routing.deleteProvider(owner, shared.id);
    await routing.deleteProvider(acme, 'mine');
    expect(routing.providers(acme).map((provider) => provider.name)).toEqual(['openai']);
  });

  it('whose key was sealed by another master key do not stop the others from working', async () => {
    await (await instance()).createProvider(acme, given('mine'));
    const routing = await instance(Buffer.alloc(32, 2));
    expect(routing.resolve(acme, 'mine/m').tiers[0]?.[0]?.provider.keyProblem).toContain(
      'another master key',
    );
    expect(keyUsed(routing, acme, 'openai/m')).toBe('sk-env');
  });
});

describe('providers of other kinds', () => {
  it('are stored with what their kind needs, at its official address', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('claude', { kind: 'anthropic', baseUrl: null }));
    const bedrock = { kind: 'bedrock', baseUrl: null, awsRegion: 'eu-west-1' } as const;
    await routing.createProvider(acme, given('aws', bedrock));
    const timeouts = { connectMs: 500, totalMs: 60_000 };
    await routing.createProvider(
      acme,
      given('docs', { kind: 'kapa', baseUrl: null, projectId: 'p1', timeouts }),
    );
    const fresh = await instance();
    const shown = (name: string) => {
      const { kind, baseUrl, settings } = fresh.provider(acme, name);
      return [kind, baseUrl, settings];
    };
    expect(shown('claude')).toEqual(['anthropic', 'https://api.anthropic.com/v1', {}]);
    expect(shown('aws')).toEqual([
      'bedrock',
      'https://bedrock-runtime.eu-west-1.amazonaws.com',
      { awsRegion: 'eu-west-1' },
    ]);
    expect(shown('docs')).toEqual(['kapa', 'https://api.kapa.ai', { projectId: 'p1', timeouts }]);
    const ollama = given('x', { kind: 'ollama', baseUrl: null, keys: null });
    await expect(routing.createProvider(acme, ollama)).rejects.toMatchObject({
      errors: [{ path: 'base_url' }],
    });
    expect((await routing.createProvider(owner, ollama)).baseUrl).toBe('http://127.0.0.1:11434/v1');
  });
});

describe('routes', () => {
  it('keep their strategy and cache, and go back to the usual ones when put without', async () => {
    const routing = await instance();
    const cache = { mode: 'semantic', ttlSeconds: 60, similarityThreshold: 0.9 } as const;
    await routing.putRoute(acme, 'fast', { ...to('openai'), strategy: 'sticky', cache });
    const first = (await instance()).resolve(acme, 'fast');
    expect(first).toMatchObject({ strategy: 'sticky', cache });
    await routing.putRoute(acme, 'fast', to('openai'));
    const second = (await instance()).resolve(acme, 'fast');
    expect(second).toMatchObject({ strategy: 'weighted', cache: { mode: 'off' } });
    expect(second.version).not.toBe(first.version);
  });

  it('are made, replaced, listed and deleted, each in its own scope', async () => {
    const routing = await instance();
    await routing.putRoute(owner, 'fast', to('openai', 'gpt-4o-mini'));
    await routing.putRoute(acme, 'fast', to('openai', 'gpt-4o'));
    await routing.putRoute(acme, 'fast', to('openai', 'gpt-4.1'));
    expect(routing.resolve(acme, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4.1');
    expect(routing.resolve(other, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4o-mini');
    expect(routing.routes(acme)).toHaveLength(1);
    await expect(routing.deleteRoute(other, 'fast')).rejects.toMatchObject({ code: 'not_found' });
    await routing.deleteRoute(acme, 'fast');
    expect(routing.resolve(acme, 'fast').tiers[0]?.[0]?.model).toBe('gpt-4o-mini');
    expect(() => routing.route(acme, 'slow')).toThrow(expect.objectContaining({ code: 'not_found' }));
  });

  it('lead only to providers that their maker can see', async () => {
    const routing = await instance();
    await routing.createProvider(acme, given('mine'));
    await expect(routing.putRoute(other, 'fast', to('mine'))).rejects.toMatchObject({
      code: 'invalid',
      errors: [{ path: 'tiers.0.targets.0.provider', message: 'there is no provider "mine"' }],
    });
    await expect(routing.putRoute(owner, 'fast', to('mine'))).rejects.toMatchObject({ code: 'invalid' });
  });
});

describe('other instances', () => {
  it('hear of a change', async () => {
    const [first, second] = [await instance(), await instance()];
    await first.createProvider(acme, given('mine'));
    await first.putRoute(acme, 'fast', to('mine'));
    await expect.poll(() => second.callableRoutes(acme).map((route) => route.name)).toEqual(['fast']);
    expect(keyUsed(second, acme, 'fast')).toBe('sk-test-0123456789abcdef');
    await first.deleteRoute(acme, 'fast');
    await expect.poll(() => second.callableRoutes(acme)).toEqual([]);
  });
});

describe('the database', () => {
  const rows = (who: Principal, table: string) =>
    database().inTenant(who, async (tx) => {
      const { rows: found } = await sql<{
        name: string;
      }>`select name from ${sql.table(table)} order by name`.execute(tx);
      return found.map((row) => row.name);
    });

  it('shows a tenant its own and the platform’s rows only, and no sealed key', async () => {
    const routing = await instance();
    await routing.createProvider(owner, given('shared'));
    await routing.createProvider(acme, given('mine'));
    await routing.createProvider(other, given('theirs'));
    await routing.putRoute(acme, 'fast', to('mine'));
    expect(await rows(acme, 'providers')).toEqual(['mine', 'shared']);
    expect(await rows(other, 'providers')).toEqual(['shared', 'theirs']);
    expect(await rows(other, 'model_routes')).toEqual([]);
    for (const column of ['sealed_key', 'sealed_keys', '*']) {
      await expect(
        database().inTenant(acme, (tx) => sql`select ${sql.raw(column)} from providers`.execute(tx)),
      ).rejects.toThrow('permission denied');
      // Nor by a detour through what it may write.
      if (column === '*') continue;
      await expect(
        database().inTenant(acme, (tx) =>
          sql`update providers set base_url = ${sql.raw(column)}::text`.execute(tx),
        ),
      ).rejects.toThrow('permission denied');
    }
  });

  it('lets a tenant write neither the platform’s rows nor another’s', async () => {
    const routing = await instance();
    await routing.createProvider(owner, given('shared'));
    await routing.putRoute(owner, 'fast', to('shared'));
    const changed = await database().inTenant(acme, async (tx) => [
      (await sql`update model_routes set name = 'taken'`.execute(tx)).numAffectedRows,
      (await sql`delete from model_routes`.execute(tx)).numAffectedRows,
      (await sql`delete from providers`.execute(tx)).numAffectedRows,
      (await sql`update providers set base_url = 'https://taken.example.com'`.execute(tx)).numAffectedRows,
    ]);
    expect(changed).toEqual([0n, 0n, 0n, 0n]);
    await expect(
      database().inTenant(acme, (tx) => sql`update providers set tenant_id = null`.execute(tx)),
    ).rejects.toThrow('permission denied');
    for (const tenantId of [null, other.tenantId]) {
      await expect(
        database().inTenant(acme, (tx) =>
          sql`insert into model_routes (id, tenant_id, name, tiers, created_by, created_at, updated_at)
            values (${newId()}, ${tenantId}, 'x', '[]', 'x', now(), now())`.execute(tx),
        ),
      ).rejects.toThrow('row-level security');
    }
  });
});
