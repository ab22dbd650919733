import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../../../test/harness/database.ts';
import { systemClock } from '../clock.ts';
import { createIds } from '../ids.ts';
import { createLog } from '../log.ts';
import { systemRandom } from '../random.ts';
import { createSecretBox } from '../secret-box.ts';
import { type KeyEncryption, KeyEncryptionError } from './key-encryption.ts';
import { createKeyringStore } from './keyring.store.ts';
import { createKeyring, type Keyring } from './keyring.ts';
import { createLocalKeys, fingerprintOf, localKeyId } from './local-keys.ts';
import { fixedMasterKeys, type MasterKeys, masterKeysInFile, readKeyFile } from './master-keys.ts';
import { refuseNewMasterKey } from './refuse-new-master-key.ts';
import { textColumn } from './sealed-columns.ts';

const newId = createIds(systemClock, systemRandom);
const log = createLog('silent');
const directory = mkdtempSync(join(tmpdir(), 'gatehouse-keyring-'));
const started: Keyring[] = [];
let test: TestDatabase;
let tenants: string[];

beforeAll(async () => {
  test = await createTestDatabase();
  await sql`create table sealed_things (id text primary key, tenant_id uuid, sealed text not null)`.execute(
    test.database.platform,
  );
});
beforeEach(async () => {
  await Promise.all(started.splice(0).map((keyring) => keyring.stop()));
  const { platform } = test.database;
  await sql`delete from sealed_things`.execute(platform);
  await sql`delete from data_keys`.execute(platform);
  await sql`delete from key_holders`.execute(platform);
  await sql`delete from platform_settings where name in ('envelope_sealing', 'master_key_fingerprint')`.execute(
    platform,
  );
  tenants = [newId(), newId()];
  for (const id of tenants) {
    await sql`insert into tenants (id, slug, name, tier, region, created_at, updated_at)
      values (${id}, ${`t${id}`}, 'T', 'free', 'eu', now(), now())`.execute(platform);
  }
});
afterAll(async () => {
  await Promise.all(started.map((keyring) => keyring.stop()));
  await test.drop();
  rmSync(directory, { recursive: true, force: true });
});

interface Given {
  readonly masterKeys?: MasterKeys;
  readonly engine?: (local: KeyEncryption) => KeyEncryption;
  readonly id?: string;
  readonly live?: readonly string[];
  readonly outageMs?: number;
}

async function instance(given: Given = {}): Promise<Keyring> {
  const keyring = build(given);
  await keyring.check();
  await keyring.start();
  started.push(keyring);
  return keyring;
}

function build(given: Given): Keyring {
  const masterKeys = given.masterKeys ?? fixedMasterKeys([Buffer.alloc(32, 1)]);
  const local = createLocalKeys({ masterKeys, random: systemRandom });
  const id = given.id ?? newId();
  return createKeyring({
    store: createKeyringStore(test.database),
    engines: given.engine ? [given.engine(local), local] : [local],
    masterKeys,
    columns: [
      textColumn(test.database, {
        table: 'sealed_things',
        column: 'sealed',
        tenantColumn: 'tenant_id',
        purpose: (row) => `thing:${row}`,
      }),
    ],
    instanceId: id,
    live: () => given.live ?? [id],
    isEldest: () => true,
    clock: systemClock,
    newId,
    random: systemRandom,
    log,
    apart: test.database.apart,
    outageMs: given.outageMs ?? 0,
    rotateAfterMs: 90 * 86_400_000,
  });
}

async function put(keyring: Pick<Keyring, 'secrets'>, id: string, tenantId: string | null, secret: string) {
  const sealed = await keyring.secrets.seal(secret, `thing:${id}`, tenantId);
  await sql`insert into sealed_things (id, tenant_id, sealed) values (${id}, ${tenantId}, ${sealed})
    on conflict (id) do update set sealed = excluded.sealed`.execute(test.database.platform);
  return sealed;
}

async function get(keyring: Pick<Keyring, 'secrets'>, id: string): Promise<string> {
  const { rows } = await sql<{ tenant_id: string | null; sealed: string }>`
    select tenant_id, sealed from sealed_things where id = ${id}`.execute(test.database.platform);
  return keyring.secrets.open(rows[0]?.sealed ?? '', `thing:${id}`, rows[0]?.tenant_id ?? null);
}

async function everything(): Promise<unknown> {
  const { platform } = test.database;
  return Promise.all([
    sql`select * from sealed_things order by id`.execute(platform).then(({ rows }) => rows),
    sql`select * from data_keys order by id`.execute(platform).then(({ rows }) => rows),
    sql`select * from platform_settings order by name`.execute(platform).then(({ rows }) => rows),
  ]);
}

const keksInUse = async () => (await createKeyringStore(test.database).kekUses()).map(({ kekId }) => kekId);

describe('a stored secret', () => {
  it('is sealed under a data key of its tenant, which is wrapped, and known to no other process by the database alone', async () => {
    const keyring = await instance();
    const [a = '', b = ''] = tenants;
    for (const [id, tenant] of [
      ['one', a],
      ['two', a],
      ['three', b],
      ['four', null],
    ] as const) {
      await put(keyring, id, tenant, `secret ${id}`);
    }
    const { rows } = await sql<{ tenant_id: string | null; wrapped: string; kek_id: string }>`
      select * from data_keys`.execute(test.database.platform);
    expect(rows.map(({ tenant_id }) => tenant_id).sort()).toEqual([a, b, null].sort());
    expect(new Set(rows.map(({ kek_id }) => kek_id))).toEqual(new Set([localKeyId(Buffer.alloc(32, 1))]));
    for (const id of ['one', 'two', 'three', 'four'])
      expect(await get(await instance(), id)).toBe(`secret ${id}`);
  });

  it('does not open in another row, for another tenant, or by a data key that was moved', async () => {
    const keyring = await instance();
    const [a = '', b = ''] = tenants;
    const sealed = await put(keyring, 'one', a, 'secret');
    await put(keyring, 'two', b, 'other');
    await expect(keyring.secrets.open(sealed, 'thing:two', a)).rejects.toThrow(/changed or moved/);
    await expect(keyring.secrets.open(sealed, 'thing:one', b)).rejects.toThrow(/another tenant/);
    await expect(keyring.secrets.open(sealed, 'thing:one', null)).rejects.toThrow(/another tenant/);
    await sql`update data_keys set wrapped = (select wrapped from data_keys where tenant_id = ${a})
      where tenant_id = ${b}`.execute(test.database.platform);
    await expect(get(await instance(), 'two')).rejects.toThrow(/was changed since it was stored/);
    expect(await get(await instance(), 'one')).toBe('secret');
  });

  it('of a tenant that is deleted can be opened by nobody any more', async () => {
    const keyring = await instance();
    const sealed = await put(keyring, 'one', tenants[0] ?? '', 'secret');
    await sql`delete from tenants where id = ${tenants[0]}`.execute(test.database.platform);
    await keyring.ask();
    await expect(keyring.secrets.open(sealed, 'thing:one', tenants[0] ?? '')).rejects.toThrow(
      /data key .* is gone/,
    );
  });

  it('makes one data key when many are sealed at once on two instances', async () => {
    const two = [await instance(), await instance()];
    await Promise.all(
      Array.from({ length: 40 }, (_, i) =>
        put(two[i % 2] as Keyring, `n${i}`, tenants[0] ?? '', `secret ${i}`),
      ),
    );
    const { rows } = await sql`select id from data_keys`.execute(test.database.platform);
    expect(rows).toHaveLength(1);
    for (let i = 0; i < 40; i++) expect(await get(two[(i + 1) % 2] as Keyring, `n${i}`)).toBe(`secret ${i}`);
  });

  it('survives a request that is undone after it had the first data key made', async () => {
    const keyring = await instance();
    const transaction = await test.database.begin();
    const sealed = await transaction.run(() => keyring.secrets.seal('secret', 'thing:x', tenants[0] ?? ''));
    await transaction.rollback();
    expect(await (await instance()).secrets.open(sealed, 'thing:x', tenants[0] ?? '')).toBe('secret');
  });
});

describe('what the version before sealed', () => {
  const box = createSecretBox(Buffer.alloc(32, 1), systemRandom);

  it('opens, and is sealed under a data key by the next round', async () => {
    const [a = ''] = tenants;
    await sql`insert into sealed_things values ('old', ${a}, ${box.seal('secret', 'thing:old')})`.execute(
      test.database.platform,
    );
    const keyring = await instance();
    await keyring.settle();
    expect((await keyring.status()).toReseal).toEqual([{ name: 'sealed_things.sealed', values: 0 }]);
    expect(await get(keyring, 'old')).toBe('secret');
    const { rows } = await sql<{ sealed: string }>`select sealed from sealed_things`.execute(
      test.database.platform,
    );
    expect(rows[0]?.sealed).toMatch(/^v2\./);
  });

  it('is the form that is used for as long as an instance of that version serves', async () => {
    const old = newId();
    const id = newId();
    const live = [id, old];
    const keyring = await instance({ id, live });
    const sealed = await put(keyring, 'mixed', tenants[0] ?? '', 'secret');
    expect(box.open(sealed, 'thing:mixed')).toBe('secret');
    await expect(keyring.rotate({ dataKeys: true, keyEncryptionKey: false })).rejects.toThrow(
      /version before/,
    );
    await keyring.settle();
    expect(await everything()).toMatchObject([[{ sealed }], [], expect.anything()]);
    live.pop();
    const upgraded = await instance({ id, live });
    await upgraded.settle();
    expect(await get(upgraded, 'mixed')).toBe('secret');
    expect(() => box.open(sealed, 'thing:other')).toThrow();
  });

  it('that does not open is left as it is and keeps nothing else from being sealed anew', async () => {
    const foreign = createSecretBox(Buffer.alloc(32, 9), systemRandom).seal('lost', 'thing:lost');
    for (const [id, sealed] of [
      ['lost', foreign],
      ['kept', box.seal('kept', 'thing:kept')],
    ]) {
      await sql`insert into sealed_things values (${id}, null, ${sealed})`.execute(test.database.platform);
    }
    const keyring = await instance();
    await keyring.settle();
    const { rows } = await sql<{
      id: string;
      sealed: string;
    }>`select id, sealed from sealed_things order by id`.execute(test.database.platform);
    expect(rows[0]?.sealed).toMatch(/^v2\./);
    expect(rows[1]?.sealed).toBe(foreign);
  });
});

describe('rotation', () => {
  it('of the key-encryption key twice, on two instances with one file, while both seal and open', async () => {
    const path = join(directory, 'shared');
    writeFileSync(path, `${Buffer.alloc(32, 1).toString('base64')}\n`, { mode: 0o600 });
    const live = [newId(), newId()];
    const fileKeys = () => masterKeysInFile(path, { isShared: true, random: systemRandom });
    const [one, two] = await Promise.all(live.map((id) => instance({ id, live, masterKeys: fileKeys() })));
    if (!one || !two) throw new Error('two were started');
    for (const [i, tenant] of [...tenants, null].entries()) await put(one, `n${i}`, tenant, 'secret 0');
    let done = 0;
    let isOver = false;
    const load = [one, two].map(async (keyring, which) => {
      while (!isOver) {
        const tenant = [...tenants, null][done % 3] ?? null;
        const id = `load ${which} ${done % 5} ${tenant}`;
        await put(keyring, id, tenant, `secret ${done}`);
        await get(which === 0 ? two : one, id);
        await get(keyring, 'n1');
        done += 1;
      }
    });
    const before = await keksInUse();
    await one.rotate({ dataKeys: true, keyEncryptionKey: true });
    await one.settle();
    const between = await keksInUse();
    await two.rotate({ dataKeys: true, keyEncryptionKey: true });
    await two.settle();
    isOver = true;
    await Promise.all(load);
    await two.settle();
    expect(done).toBeGreaterThan(0);
    const after = await keksInUse();
    const [newest] = readKeyFile(path);
    expect(after).toEqual([localKeyId(newest ?? Buffer.alloc(0))]);
    expect(new Set([...before, ...between, ...after]).size).toBe(3);
    // The keys before are not needed any more, not even for a start.
    const alone = await instance({ masterKeys: fixedMasterKeys([newest ?? Buffer.alloc(0)]) });
    expect(await get(alone, 'n2')).toBe('secret 0');
  });

  it('of data keys: new ones seal, old values are sealed anew, edits meanwhile are not lost', async () => {
    const keyring = await instance();
    const [a = ''] = tenants;
    for (let i = 0; i < 250; i++) await put(keyring, `n${i}`, a, 'before');
    await keyring.rotate({ dataKeys: true, keyEncryptionKey: false });
    await Promise.all([keyring.settle(), ...[3, 120, 249].map((i) => put(keyring, `n${i}`, a, 'edited'))]);
    await keyring.settle();
    const { dataKeys, toReseal } = await keyring.status();
    expect(dataKeys).toMatchObject({ current: 1, superseded: 1, retired: 0 });
    expect(toReseal[0]?.values).toBe(0);
    for (const i of [3, 120, 249]) expect(await get(keyring, `n${i}`)).toBe('edited');
    for (const i of [0, 119, 248]) expect(await get(keyring, `n${i}`)).toBe('before');
    // A minute after it was superseded, nothing that is still on its way can have been sealed by it.
    await sql`update data_keys set superseded_at = superseded_at - interval '2 minutes'
      where superseded_at is not null`.execute(test.database.platform);
    await keyring.settle();
    expect((await keyring.status()).dataKeys).toMatchObject({ current: 1, superseded: 0, retired: 1 });
  });

  it('is audited, without a key in it', async () => {
    const keyring = await instance();
    await put(keyring, 'one', tenants[0] ?? '', 'secret');
    await keyring.rotate({ dataKeys: true, keyEncryptionKey: false });
    const { rows } = await sql<{ action: string; entry: string }>`
      select action, entry from audit_entries where tenant_id = ${tenants[0]} and target_type = 'data_key'`.execute(
      test.database.platform,
    );
    expect(rows.map(({ action }) => action).sort()).toEqual([
      'data_key.changed',
      'data_key.created',
      'data_key.created',
    ]);
    const wrapped = await sql<{ wrapped: string }>`select wrapped from data_keys`.execute(
      test.database.platform,
    );
    for (const row of wrapped.rows) expect(JSON.stringify(rows)).not.toContain(row.wrapped);
  });

  it('says who has to make the key when it comes from a variable', async () => {
    const keyring = await instance();
    await put(keyring, 'one', null, 'secret');
    await expect(keyring.rotate({ dataKeys: false, keyEncryptionKey: true })).rejects.toThrow(
      /GATEHOUSE_MASTER_KEYS_OLD/,
    );
  });

  it('by variables: the instance that was given the new key first re-wraps when all have it', async () => {
    const [old, fresh] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    await put(await instance(), 'one', null, 'secret');
    const live = [newId()];
    const [id = ''] = live;
    const known = await instance({ id, live, masterKeys: fixedMasterKeys([old, fresh]) });
    expect(await get(known, 'one')).toBe('secret');
    const current = await instance({ live: [...live], masterKeys: fixedMasterKeys([fresh, old]) });
    await current.settle();
    expect(await keksInUse()).toEqual([localKeyId(fresh)]);
    expect(await get(known, 'one')).toBe('secret');
  });

  it('refuses an instance whose key another one that serves does not have', async () => {
    const id = newId();
    await instance({ id });
    const late = build({
      live: [id],
      masterKeys: fixedMasterKeys([Buffer.alloc(32, 2), Buffer.alloc(32, 1)]),
    });
    await expect(late.start()).rejects.toThrow(/Give it to all of them first/);
  });
});

describe('a master key that is lost', () => {
  it('ends the start naming its fingerprint, changes nothing, and the right one brought back works', async () => {
    const right = Buffer.alloc(32, 1);
    const keyring = await instance();
    await put(keyring, 'one', tenants[0] ?? '', 'secret');
    await keyring.settle();
    const before = await everything();
    const wrong = build({ masterKeys: fixedMasterKeys([Buffer.alloc(32, 2)]) });
    await expect(wrong.check()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(
        new RegExp(`${fingerprintOf(right)}.*GATEHOUSE_MASTER_KEYS_OLD.*Nothing was changed`),
      ),
    });
    await expect(
      refuseNewMasterKey({ masterKey: null, oldMasterKeys: [], keyringFile: null }, directory, test.url),
    ).rejects.toThrow(fingerprintOf(right));
    expect(await everything()).toEqual(before);
    expect(await get(await instance(), 'one')).toBe('secret');
  });

  it('that sealed nothing but data keys of some tenants is missed as well', async () => {
    const [old, fresh] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    await put(await instance(), 'one', null, 'secret');
    await sql`update platform_settings set value = ${JSON.stringify({ fingerprint: fingerprintOf(fresh) })}::jsonb
      where name = 'master_key_fingerprint'`.execute(test.database.platform);
    await expect(build({ masterKeys: fixedMasterKeys([fresh]) }).check()).rejects.toThrow(fingerprintOf(old));
  });
});

describe('a key-encryption key that is withdrawn', () => {
  const withdrawable = (trouble: { now: 'refused' | 'unreachable' | null }) => (local: KeyEncryption) => ({
    ...local,
    async unwrap(...given: Parameters<KeyEncryption['unwrap']>) {
      if (trouble.now) throw new KeyEncryptionError(trouble.now, given[0].kekId, `the key is ${trouble.now}`);
      return local.unwrap(...given);
    },
  });

  it('closes what it opened at the next look, and opens it again when it is granted again', async () => {
    const trouble: { now: 'refused' | 'unreachable' | null } = { now: null };
    const keyring = await instance({ engine: withdrawable(trouble), outageMs: 3_600_000 });
    let told = 0;
    keyring.onChange(() => {
      told += 1;
    });
    await put(keyring, 'one', tenants[0] ?? '', 'secret');
    trouble.now = 'refused';
    expect(await get(keyring, 'one')).toBe('secret');
    await keyring.ask();
    expect(told).toBe(1);
    expect(keyring.openKeys()).toBe(0);
    await expect(get(keyring, 'one')).rejects.toThrow(/refused/);
    trouble.now = null;
    await keyring.ask();
    expect(told).toBe(2);
    expect(await get(keyring, 'one')).toBe('secret');
  });

  it('is not mistaken for one whose service is away, until that was away for as long as is allowed', async () => {
    const trouble: { now: 'refused' | 'unreachable' | null } = { now: null };
    const patient = await instance({ engine: withdrawable(trouble), outageMs: 3_600_000 });
    const strict = await instance({ engine: withdrawable(trouble), outageMs: 0 });
    await put(patient, 'one', null, 'secret');
    await get(strict, 'one');
    trouble.now = 'unreachable';
    await Promise.all([patient.ask(), strict.ask()]);
    expect(await get(patient, 'one')).toBe('secret');
    await expect(get(strict, 'one')).rejects.toThrow(/unreachable/);
  });

  it('and is a line of a keyring file: gone from the file, it opens nothing', async () => {
    const path = join(directory, 'revoked');
    const line = `${Buffer.alloc(32, 1).toString('base64')}\n`;
    writeFileSync(path, line, { mode: 0o600 });
    const keyring = await instance({
      masterKeys: masterKeysInFile(path, { isShared: true, random: systemRandom }),
    });
    await put(keyring, 'one', null, 'secret');
    writeFileSync(path, `${Buffer.alloc(32, 3).toString('base64')}\n`);
    await expect
      .poll(
        async () => {
          await keyring.ask();
          return keyring.openKeys();
        },
        { timeout: 20_000 },
      )
      .toBe(0);
    await expect(get(keyring, 'one')).rejects.toThrow(fingerprintOf(Buffer.alloc(32, 1)));
    writeFileSync(path, line);
    await expect.poll(() => get(keyring, 'one').catch(() => 'closed'), { timeout: 20_000 }).toBe('secret');
  });
});
