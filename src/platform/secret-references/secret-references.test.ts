import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startVault, type TestVault } from '../../../test/harness/vault.ts';
import { systemClock } from '../clock.ts';
import { createVaultClient } from '../keyring/vault-client.ts';
import { createLog } from '../log.ts';
import { isReference, parseReference } from './reference.ts';
import { createSecretReferences, type SecretReferences } from './secret-references.ts';

let vault: TestVault;
let directory: string;
let allowed: string;
let nowMs: number;
beforeEach(async () => {
  vault = await startVault();
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-references-')));
  allowed = join(directory, 'allowed');
  mkdirSync(allowed);
  nowMs = 0;
});
afterEach(async () => {
  await vault.stop();
  rmSync(directory, { recursive: true, force: true });
});

const references = (): SecretReferences =>
  createSecretReferences({
    variables: new Map([['GATEHOUSE_SECRET_TEST', 'sk-test-variable']]),
    directories: [allowed],
    vault: createVaultClient({
      address: vault.url,
      namespace: null,
      login: { token: vault.token },
      transitMount: 'transit',
      transitKey: null,
      kvMount: 'secret',
    }),
    clock: { ...systemClock, monotonicMs: () => nowMs },
    log: createLog('silent'),
  });
const owner = { isOwner: true, tenantId: 't1' };
const tenant = { isOwner: false, tenantId: 't1' };

describe('who may give a reference', () => {
  it.each(['env:GATEHOUSE_SECRET_TEST', 'file:/run/secrets/x', 'vault:teams/search#key'])(
    'to %s: owners only',
    (reference) => {
      expect(references().objectionTo(reference, owner)).toBeNull();
      expect(references().objectionTo(reference, tenant)).toEqual(expect.any(String));
    },
  );

  it('to what is its tenant’s own in Vault: the tenant', () => {
    expect(references().objectionTo('vault:tenants/t1/openai#key', tenant)).toBeNull();
    expect(references().objectionTo('vault:tenants/t2/openai#key', tenant)).toMatch(/below tenants\/t1/);
  });

  it.each([
    'env:PATH',
    'env:DATABASE_URL',
    'env:GATEHOUSE_MASTER_KEY',
    'env:GATEHOUSE_SECRET_DIRS',
    'env:GATEHOUSE_SECRET_',
    'file:relative',
    'vault:tenants/t1/../t2/openai#key',
    'vault:tenants/t1//openai#key',
    'vault:tenants/t1/%2e%2e/t2#key',
    'vault:tenants/t1/openai',
    'vault:#key',
  ])('to %s: nobody', (reference) => {
    expect(references().objectionTo(reference, owner)).toEqual(expect.any(String));
  });

  it('to nothing that climbs out of the tenant’s own place', () => {
    const part = fc.constantFrom('..', '.', '', 'a', '%2e%2e', 't2', 'tenants', '\\..', '..;', '?', ' ');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), (parts) => {
        const given = `vault:tenants/t1/${parts.join('/')}#key`;
        if (references().objectionTo(given, tenant) !== null) return;
        const { pathname, search } = new URL(`http://vault/v1/secret/data/tenants/t1/${parts.join('/')}`);
        expect(pathname.startsWith('/v1/secret/data/tenants/t1/')).toBe(true);
        expect(search).toBe('');
      }),
    );
  });

  it('is not asked of what is a secret itself', () => {
    expect(isReference('sk-test-env:not-at-the-start')).toBe(false);
    expect(references().objectionTo('sk-test', tenant)).toBeNull();
    expect(parseReference('sk-test')).toMatch(/must begin/);
  });
});

describe('a reference', () => {
  it('is read from a variable, a file and Vault', async () => {
    writeFileSync(join(allowed, 'key'), 'sk-test-file\n');
    vault.secrets.set('teams/search', { key: 'sk-test-vault' });
    const all = references();
    expect(await all.resolve('env:GATEHOUSE_SECRET_TEST')).toBe('sk-test-variable');
    expect(await all.resolve(`file:${join(allowed, 'key')}`)).toBe('sk-test-file');
    expect(await all.resolve('vault:teams/search#key')).toBe('sk-test-vault');
  });

  it('to a file elsewhere is refused, also by a link, a sibling of the same beginning, or ..', async () => {
    writeFileSync(join(directory, 'outside'), 'sk-test-outside');
    mkdirSync(join(directory, 'allowed-not'));
    writeFileSync(join(directory, 'allowed-not', 'key'), 'sk-test-outside');
    symlinkSync(join(directory, 'outside'), join(allowed, 'link'));
    for (const path of [
      join(directory, 'outside'),
      join(allowed, 'link'),
      join(directory, 'allowed-not', 'key'),
      `${allowed}/../outside`,
    ]) {
      await expect(references().resolve(`file:${path}`)).rejects.toThrow(/GATEHOUSE_SECRET_DIRS/);
    }
  });

  it('that cannot be read says which and never what', async () => {
    writeFileSync(join(allowed, 'empty'), '');
    vault.secrets.set('teams/search', { key: 'sk-test-vault', number: 5 });
    const all = references();
    await expect(all.resolve('env:GATEHOUSE_SECRET_ABSENT')).rejects.toThrow(
      /GATEHOUSE_SECRET_ABSENT is not set/,
    );
    await expect(all.resolve(`file:${join(allowed, 'absent')}`)).rejects.toThrow(/there is none/);
    await expect(all.resolve(`file:${join(allowed, 'empty')}`)).rejects.toThrow(/empty/);
    await expect(all.resolve(`file:${allowed}/.`)).rejects.toThrow(/GATEHOUSE_SECRET_DIRS|not a file/);
    await expect(all.resolve('vault:teams/absent#key')).rejects.toThrow(
      /nothing at secret\/data\/teams\/absent/,
    );
    await expect(all.resolve('vault:teams/search#other')).rejects.toThrow(/no field "other"/);
    await expect(all.resolve('vault:teams/search#number')).rejects.not.toThrow(/sk-test/);
  });

  it('is kept for half a minute, and a change is told', async () => {
    vault.secrets.set('teams/search', { key: 'first' });
    const all = references();
    let told = 0;
    all.onChange(() => {
      told += 1;
    });
    expect(await all.resolve('vault:teams/search#key')).toBe('first');
    vault.secrets.set('teams/search', { key: 'second' });
    expect(await all.resolve('vault:teams/search#key')).toBe('first');
    await all.look();
    expect(told).toBe(1);
    expect(await all.resolve('vault:teams/search#key')).toBe('second');
    await all.look();
    expect(told).toBe(1);
    vault.secrets.set('teams/search', { key: 'third' });
    nowMs += 30_001;
    expect(await all.resolve('vault:teams/search#key')).toBe('third');
  });

  it('is used as it was while Vault is away, and not once Vault refuses it', async () => {
    vault.secrets.set('teams/search', { key: 'first' });
    const all = references();
    await all.resolve('vault:teams/search#key');
    vault.sealed = true;
    nowMs += 60_000;
    await all.look();
    expect(await all.resolve('vault:teams/search#key')).toBe('first');
    vault.sealed = false;
    vault.secrets.delete('teams/search');
    await all.look();
    await expect(all.resolve('vault:teams/search#key')).rejects.toThrow(/nothing at/);
  });
});
