import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startVault, type TestVault, testRole } from '../../../test/harness/vault.ts';
import type { VaultConfig } from '../secrets-settings.ts';
import { createVaultClient } from './vault-client.ts';
import { createVaultTransit } from './vault-transit.ts';

let vault: TestVault;
beforeEach(async () => {
  vault = await startVault();
});
afterEach(() => vault.stop());

const config = (login: VaultConfig['login']): VaultConfig => ({
  address: vault.url,
  namespace: null,
  login,
  transitMount: 'transit',
  transitKey: 'gatehouse',
  kvMount: 'secret',
});
const transit = (login: VaultConfig['login'] = { token: vault.token }) =>
  createVaultTransit(createVaultClient(config(login)), { mount: 'transit', key: 'gatehouse' });
const dataKey = Buffer.alloc(32, 4);

describe('a key-encryption key in Vault Transit', () => {
  it('wraps and unwraps, bound to what the data key is for', async () => {
    const engine = transit();
    const wrapped = await engine.wrap(dataKey, 'data key:a');
    expect(wrapped.kekId).toBe('vault:transit/gatehouse#1');
    expect(await engine.unwrap(wrapped, 'data key:a')).toEqual(dataKey);
    await expect(engine.unwrap(wrapped, 'data key:b')).rejects.toMatchObject({ trouble: 'refused' });
    expect(await engine.health()).toMatchObject({ ok: true });
  });

  it('is rotated there; what older versions wrapped opens, and is re-wrapped', async () => {
    const engine = transit();
    const old = await engine.wrap(dataKey, 'a');
    expect(await engine.makeKey(async () => {})).toBe('vault:transit/gatehouse#2');
    expect(await engine.unwrap(old, 'a')).toEqual(dataKey);
    const next = await engine.rewrap(old, 'a');
    expect(next.kekId).toBe('vault:transit/gatehouse#2');
    expect(await engine.unwrap(next, 'a')).toEqual(dataKey);
  });

  it('tells a key that was withdrawn from a Vault that is away or sealed', async () => {
    const engine = transit();
    const wrapped = await engine.wrap(dataKey, 'a');
    vault.revoked = true;
    await expect(engine.unwrap(wrapped, 'a')).rejects.toMatchObject({ trouble: 'refused' });
    vault.revoked = false;
    vault.sealed = true;
    await expect(engine.unwrap(wrapped, 'a')).rejects.toMatchObject({ trouble: 'unreachable' });
    vault.sealed = false;
    await vault.stop();
    await expect(engine.unwrap(wrapped, 'a')).rejects.toMatchObject({ trouble: 'unreachable' });
    expect((await engine.health()).ok).toBe(false);
  });

  it('is not asked to open what another key wrapped', async () => {
    const foreign = { wrapped: 'vault:v1:AAAA', kekId: 'vault:transit/other#1' };
    await expect(transit().unwrap(foreign, 'a')).rejects.toMatchObject({ trouble: 'unknown' });
  });
});

describe('an AppRole', () => {
  it('signs in once for many calls, and again when its token has ended', async () => {
    const engine = transit(testRole);
    await Promise.all([engine.wrap(dataKey, 'a'), engine.wrap(dataKey, 'b')]);
    expect(vault.logins()).toBe(1);
    vault.endTokens();
    await engine.wrap(dataKey, 'c');
    expect(vault.logins()).toBe(2);
  });

  it('that is refused says so without the secret id', async () => {
    const secretId = 'wrong-secret-id';
    const refused = transit({ roleId: 'test-role', secretId }).wrap(dataKey, 'a');
    await expect(refused).rejects.toMatchObject({ trouble: 'refused' });
    await expect(refused).rejects.not.toThrow(secretId);
  });
});
