import { randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { type StandIn, startStandIn } from '../../../test/harness/stand-in.ts';
import { startVault, type TestVault } from '../../../test/harness/vault.ts';
import { type Clock, systemClock } from '../clock.ts';
import { createIds } from '../ids.ts';
import { createLog } from '../log.ts';
import { systemRandom } from '../random.ts';
import { createAwsKms } from './aws-kms.ts';
import { createKeyringStore } from './keyring.store.ts';
import { createKeyring, type Keyring } from './keyring.ts';
import { createLocalKeys } from './local-keys.ts';
import { fixedMasterKeys } from './master-keys.ts';
import { createVaultClient } from './vault-client.ts';
import { createVaultTransit } from './vault-transit.ts';

const newId = createIds(systemClock, systemRandom);
const customersKms = 'arn:aws:kms:eu-central-1:444455556666:key/customer';
let test: TestDatabase;
let vault: TestVault;
let kms: StandIn & { readonly disabled: Set<string>; readonly deleted: Set<string> };
let tenant: string;
let other: string;
const started: Keyring[] = [];

/** Time that stands still until a test moves it. */
function stillClock() {
  let nowMs = 0;
  let sleepers: { readonly untilMs: number; readonly wake: () => void }[] = [];
  const clock: Clock = {
    ...systemClock,
    monotonicMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        sleepers.push({ untilMs: nowMs + ms, wake: resolve });
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
  return {
    clock,
    /** A second at a time, each after the work of the one before. */
    async pass(seconds: number) {
      for (let passed = 0; passed < seconds; passed++) {
        await until(async () => sleepers.length > 0);
        nowMs += 1_000;
        const due = sleepers.filter(({ untilMs }) => untilMs <= nowMs);
        sleepers = sleepers.filter(({ untilMs }) => untilMs > nowMs);
        for (const { wake } of due) wake();
      }
      await until(async () => sleepers.length > 0);
    },
  };
}

/** Encrypts and decrypts as KMS does, far enough: what it gives back names the key, and one that is disabled does nothing. */
async function startKms() {
  const disabled = new Set<string>();
  const deleted = new Set<string>();
  const kept = new Map<string, { readonly plain: string; readonly context: string; readonly key: string }>();
  const server = await startStandIn((request, text) => {
    const body = JSON.parse(text);
    const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
    const context = JSON.stringify(body.EncryptionContext);
    const refused = (type: string) => ({ status: 400, json: { __type: type } });
    if (deleted.has(body.KeyId)) return refused('NotFoundException');
    if (disabled.has(body.KeyId)) return refused('DisabledException');
    if (operation === 'Encrypt') {
      const CiphertextBlob = randomBytes(40).toString('base64');
      kept.set(CiphertextBlob, { plain: body.Plaintext, context, key: body.KeyId });
      return { status: 200, json: { CiphertextBlob } };
    }
    const found = kept.get(body.CiphertextBlob);
    return found?.key === body.KeyId && found?.context === context
      ? { status: 200, json: { Plaintext: found?.plain } }
      : refused('InvalidCiphertextException');
  });
  return Object.assign(server, { disabled, deleted });
}

beforeAll(async () => {
  test = await createTestDatabase();
  vault = await startVault();
  kms = await startKms();
  vault.makeKey('acme');
  vault.makeKey('acme-next');
});
beforeEach(async () => {
  await sql`delete from data_keys`.execute(test.database.platform);
  await sql`delete from tenant_encryption_keys`.execute(test.database.platform);
  [tenant, other] = [newId(), newId()];
  for (const id of [tenant, other]) {
    await sql`insert into tenants (id, slug, name, tier, region, created_at, updated_at)
      values (${id}, ${`t${id}`}, 'T', 'free', 'eu', now(), now())`.execute(test.database.platform);
  }
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((keyring) => keyring.stop()));
  vault.revokedKeys.clear();
  vault.sealed = false;
  kms.disabled.clear();
  kms.deleted.clear();
});
afterAll(async () => {
  await Promise.all([vault.stop(), kms.stop(), test.drop()]);
});

async function instance(clock: Clock = systemClock): Promise<Keyring> {
  const masterKeys = fixedMasterKeys([Buffer.alloc(32, 1)]);
  const client = createVaultClient({
    address: vault.url,
    namespace: null,
    login: { token: vault.token },
    transitMount: 'transit',
    transitKey: 'gatehouse',
    kvMount: 'secret',
  });
  const id = newId();
  const keyring = createKeyring({
    store: createKeyringStore(test.database),
    engines: [
      createLocalKeys({ masterKeys, random: systemRandom }),
      createVaultTransit(client, { mount: 'transit', key: 'gatehouse' }),
      createAwsKms(
        {
          key: 'arn:aws:kms:eu-central-1:111122223333:key/test',
          region: 'eu-central-1',
          endpoint: kms.url,
          accessKeyId: 'AKIATEST',
          secretAccessKey: 'test',
          sessionToken: null,
        },
        systemClock,
      ),
    ],
    masterKeys,
    columns: [],
    instanceId: id,
    live: () => [id],
    isEldest: () => true,
    clock,
    newId,
    random: systemRandom,
    log: createLog('silent'),
    apart: test.database.apart,
    outageMs: 900_000,
    rotateAfterMs: 90 * 86_400_000,
  });
  await keyring.check();
  await keyring.start();
  started.push(keyring);
  return keyring;
}
const keks = async () =>
  (
    await sql<{
      kek: string;
    }>`select kek_id as kek from data_keys where tenant_id = ${tenant} order by created_at`.execute(
      test.database.platform,
    )
  ).rows.map(({ kek }) => kek);

describe('a key of a tenant’s own', () => {
  it('wraps what was sealed before and after, and nobody else’s', async () => {
    const keyring = await instance();
    const before = await keyring.secrets.seal('before', 'p', tenant);
    const others = await keyring.secrets.seal('others', 'p', other);
    expect(await keyring.customerKey(tenant)).toBeNull();
    const set = await keyring.setCustomerKey(tenant, { engine: 'vault', key: 'transit/acme' });
    expect(set).toMatchObject({ kek: 'vault:transit/acme', health: { ok: true }, notRewrapped: 0 });
    expect(await keks()).toEqual(['vault:transit/acme#1']);
    const after = await keyring.secrets.seal('after', 'p', tenant);
    // An instance that has nothing in memory.
    const fresh = await instance();
    expect(await fresh.secrets.open(before, 'p', tenant)).toBe('before');
    expect(await fresh.secrets.open(after, 'p', tenant)).toBe('after');
    vault.sealed = true;
    expect(await (await instance()).secrets.open(others, 'p', other)).toBe('others');
    vault.sealed = false;
    // Rotations make data keys under it, too, and leave it in place.
    await keyring.rotate({ dataKeys: true, keyEncryptionKey: false });
    await keyring.settle();
    expect(new Set(await keks())).toEqual(new Set(['vault:transit/acme#1']));
    expect((await keyring.status()).keks.every(({ isCurrent }) => isCurrent)).toBe(true);
  });

  it('closes within 60 s everywhere when it is withdrawn, for its tenant only, and opens when it is granted again', async () => {
    const time = stillClock();
    const keyring = await instance(time.clock);
    const kept = await keyring.secrets.seal('kept', 'p', tenant);
    const others = await keyring.secrets.seal('others', 'p', other);
    await keyring.setCustomerKey(tenant, { engine: 'vault', key: 'transit/acme' });
    let told = 0;
    keyring.onChange(() => {
      told += 1;
    });
    await time.pass(30);
    expect(await keyring.secrets.open(kept, 'p', tenant)).toBe('kept');
    vault.revokedKeys.add('acme');
    await time.pass(60);
    expect(told).toBeGreaterThan(0);
    await expect(keyring.secrets.open(kept, 'p', tenant)).rejects.toMatchObject({
      code: 'dependency_down',
      message: expect.stringMatching(/Vault refuses transit\/decrypt\/acme/),
    });
    await expect(keyring.secrets.seal('new', 'p', tenant)).rejects.toMatchObject({ code: 'dependency_down' });
    expect(await keyring.secrets.open(others, 'p', other)).toBe('others');
    expect(await keyring.customerKey(tenant)).toMatchObject({ health: { ok: false } });
    // An instance that starts now is not kept from it by one tenant's key.
    const fresh = await instance();
    expect(await fresh.secrets.open(others, 'p', other)).toBe('others');
    await expect(fresh.secrets.open(kept, 'p', tenant)).rejects.toThrow(/refuses/);
    const toldBefore = told;
    vault.revokedKeys.clear();
    await time.pass(60);
    expect(told).toBeGreaterThan(toldBefore);
    expect(await keyring.secrets.open(kept, 'p', tenant)).toBe('kept');
  });

  it('may be one of AWS KMS, by another account’s ARN', async () => {
    const keyring = await instance();
    const kept = await keyring.secrets.seal('kept', 'p', tenant);
    await keyring.setCustomerKey(tenant, { engine: 'aws', key: customersKms });
    expect(await keks()).toEqual([`aws:${customersKms}`]);
    expect(await (await instance()).secrets.open(kept, 'p', tenant)).toBe('kept');
    kms.disabled.add(customersKms);
    await keyring.ask();
    await expect(keyring.secrets.open(kept, 'p', tenant)).rejects.toThrow(
      /AWS KMS refuses.*DisabledException/,
    );
  });

  it('can be followed by another, or by none; one that is gone takes with it only what it wrapped', async () => {
    const keyring = await instance();
    const first = await keyring.secrets.seal('first', 'p', tenant);
    await keyring.setCustomerKey(tenant, { engine: 'vault', key: 'transit/acme' });
    await keyring.setCustomerKey(tenant, { engine: 'vault', key: 'transit/acme-next' });
    expect(await keks()).toEqual(['vault:transit/acme-next#1']);
    vault.revokedKeys.add('acme-next');
    await keyring.ask();
    const moved = await keyring.setCustomerKey(tenant, { engine: 'vault', key: 'transit/acme' });
    expect(moved).toMatchObject({ health: { ok: true }, notRewrapped: 1 });
    const second = await keyring.secrets.seal('second', 'p', tenant);
    expect(await keyring.secrets.open(second, 'p', tenant)).toBe('second');
    await expect(keyring.secrets.open(first, 'p', tenant)).rejects.toThrow(/refuses/);
    // It was only withdrawn: what was left is re-wrapped by itself.
    vault.revokedKeys.clear();
    await keyring.ask();
    await keyring.settle();
    expect(new Set(await keks())).toEqual(new Set(['vault:transit/acme#1']));
    expect(await keyring.removeCustomerKey(tenant)).toBe(true);
    expect(await keyring.removeCustomerKey(tenant)).toBe(false);
    expect((await keks()).every((kek) => kek.startsWith('local:'))).toBe(true);
    const fresh = await instance();
    expect(await fresh.secrets.open(first, 'p', tenant)).toBe('first');
    expect(await fresh.secrets.open(second, 'p', tenant)).toBe('second');
  });

  it('is taken only when it works, is not the server’s, and is of a tenant that there is', async () => {
    const keyring = await instance();
    vault.revokedKeys.add('acme');
    const refusals: [Parameters<Keyring['setCustomerKey']>[1], string][] = [
      [{ engine: 'vault', key: 'transit/acme' }, 'key'],
      [{ engine: 'vault', key: 'transit/nobody' }, 'key'],
      [{ engine: 'vault', key: 'transit/gatehouse' }, 'key'],
      [{ engine: 'vault', key: 'transit/../../sys/seal' }, 'key'],
      [{ engine: 'aws', key: 'arn:aws:kms:eu-central-1:111122223333:key/test' }, 'key'],
      [{ engine: 'aws', key: `${customersKms}#1` }, 'key'],
      [{ engine: 'local', key: 'x' }, 'key'],
    ];
    for (const [given, path] of refusals) {
      await expect(keyring.setCustomerKey(tenant, given)).rejects.toMatchObject({
        code: 'invalid',
        errors: [{ path }],
      });
    }
    expect(await keyring.customerKey(tenant)).toBeNull();
    const nobody = keyring.setCustomerKey(newId(), { engine: 'vault', key: 'transit/acme-next' });
    await expect(nobody).rejects.toMatchObject({ code: 'not_found' });
  });
});
