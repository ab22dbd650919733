import { sql } from 'kysely';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../test/harness/child.ts';
import { createTestDatabase, type TestDatabase } from '../../test/harness/database.ts';
import { systemClock } from '../platform/clock.ts';
import { createIds } from '../platform/ids.ts';
import { createLog } from '../platform/log.ts';
import { systemRandom } from '../platform/random.ts';
import { createSecretBox } from '../platform/secret-box.ts';
import { createAudit } from './audit.service.ts';
import { createAuditStore } from './audit.store.ts';
import { verifyConsistency, verifyInclusion } from './merkle-tree.ts';
import { createSequencerStore } from './sequencer.store.ts';
import { createSequencer } from './sequencer.ts';
import { verifyExport } from './verify-export.ts';

const newId = createIds(systemClock, systemRandom);
let test: TestDatabase;
let audit: ReturnType<typeof createAudit>;
let sequencer: ReturnType<typeof createSequencer>;
const scopeOf = (tenantId: string) => ({ tenantId, readerTokens: [] });
const mine = scopeOf(newId());
const other = scopeOf(newId());

beforeAll(async () => {
  test = await createTestDatabase();
  sequencer = createSequencer({
    store: createSequencerStore(test.database),
    secretBox: createSecretBox(systemRandom.bytes(32), systemRandom),
    clock: systemClock,
    log: createLog('silent'),
    retentionDays: 90,
  });
  audit = createAudit({ store: createAuditStore(test.database), sequencer, clock: systemClock });
});
afterAll(() => test.drop());

const note = (scope: typeof mine, n: number) =>
  audit.note(scope, {
    action: 'test.noted',
    targetType: 'test',
    targetId: String(n),
    outcome: 'done',
    details: { n, text: 'ä "quoted" \\ \n' },
  });
async function exported(scope: typeof mine): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of audit.export(scope)) lines.push(line.slice(0, -1));
  return lines;
}
/** Whatever transaction is open anywhere on the server is waited for, and other files' tests have some. */
async function sequenceAll(): Promise<void> {
  await until(async () => {
    await sequencer.sequence();
    const { rows } = await sql<{ loose: number }>`select count(*)::int as loose from audit_entries e
      where not exists (select from audit_leaves l where l.entry_id = e.id)`.execute(test.database.platform);
    return rows[0]?.loose === 0;
  });
}

describe('the audit log', () => {
  it('has every entry in its tenant’s tree, proved and exported', async () => {
    for (let n = 0; n < 13; n++) await note(mine, n);
    await sequenceAll();
    const first = await audit.head(mine);
    for (let n = 13; n < 20; n++) await note(mine, n);
    await note(other, 0);
    await sequenceAll();
    const head = await audit.head(mine);
    expect(first?.size).toBe(13);
    expect(head?.size).toBe(20);
    if (!first || !head) return;
    const rows = await audit.page(mine, {}, { limit: 50, after: null });
    expect(rows.map(({ leaf }) => Number(leaf)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 20 }, (_, n) => n),
    );
    for (const { id } of rows) {
      const { leafHash, leaf, size, proof, root } = await audit.inclusion(mine, id, undefined);
      expect(verifyInclusion(leafHash, leaf, size, proof, root)).toBe(true);
      expect(root).toEqual(head.root);
    }
    const { proof, roots } = await audit.consistency(mine, 13, 20);
    expect(roots).toEqual([first.root, head.root]);
    expect(verifyConsistency(first, head, proof)).toBe(true);
    const keys = (await audit.publicKeys()).map(({ id }) => id);
    // At least these two: entries may enter the log in more than two parts, as transactions elsewhere end.
    const verified = await verifyExport(await exported(mine), { trusted: keys });
    expect(verified).toMatchObject({ isValid: true, size: 20 });
    expect(verified.heads).toBeGreaterThanOrEqual(2);
    expect(await verifyExport(await exported(other), { trusted: keys })).toMatchObject({
      isValid: true,
      size: 1,
      heads: 1,
    });
  });

  it('is the same for the reader of another tenant as if it were not there', async () => {
    const [row] = await audit.page(other, {}, { limit: 1, after: null });
    await expect(audit.entry(mine, row?.id ?? '')).rejects.toMatchObject({ code: 'not_found' });
    await expect(audit.inclusion(mine, row?.id ?? '', undefined)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it('misses no entry of a transaction that takes long while others come and go', async () => {
    const scope = scopeOf(newId());
    const slow = new pg.Client({ connectionString: test.url });
    await slow.connect();
    await slow.query('begin');
    await slow.query("select audit_add($1, 'test.slow', 'test', 'slow', 'done', null, null)", [
      scope.tenantId,
    ]);
    await note(scope, 1);
    await sequencer.sequence();
    expect(await audit.head(scope)).toBeNull();
    await slow.query('commit');
    await slow.end();
    await note(scope, 2);
    await sequenceAll();
    const rows = await audit.page(scope, {}, { limit: 10, after: null });
    expect(rows.map(({ leaf }) => Number(leaf)).sort()).toEqual([0, 1, 2]);
  });

  it('gives each entry one place when two instances give places', async () => {
    const scope = scopeOf(newId());
    const second = createSequencer({
      store: createSequencerStore(test.database),
      secretBox: createSecretBox(Buffer.alloc(32), systemRandom),
      clock: systemClock,
      log: createLog('silent'),
      retentionDays: 90,
    });
    await expect(second.sequence()).rejects.toMatchObject({ code: 'dependency_down' });
    await Promise.all(Array.from({ length: 60 }, (_, n) => note(scope, n)));
    await Promise.all([sequencer.sequence(), sequencer.sequence(), sequencer.sequence()]);
    await sequenceAll();
    expect(await audit.head(scope)).toMatchObject({ size: 60 });
    const keys = (await audit.publicKeys()).map(({ id }) => id);
    expect(await verifyExport(await exported(scope), { trusted: keys })).toMatchObject({
      isValid: true,
      size: 60,
    });
  });

  it('can be pruned, and what is left still proves itself against an earlier head', async () => {
    const scope = scopeOf(newId());
    for (let n = 0; n < 21; n++) await note(scope, n);
    await sequenceAll();
    const before = await audit.head(scope);
    await sql`alter table audit_entries disable trigger never_updated`.execute(test.database.platform);
    await sql`update audit_entries e set at = now() - interval '91 days' from audit_leaves l
      where l.entry_id = e.id and e.tenant_id = ${scope.tenantId} and l.leaf < 13`.execute(
      test.database.platform,
    );
    await sql`alter table audit_entries enable trigger never_updated`.execute(test.database.platform);
    await sequencer.prune();
    await note(scope, 21);
    await sequenceAll();
    expect(await audit.page(scope, {}, { limit: 50, after: null })).toHaveLength(9);
    const keys = (await audit.publicKeys()).map(({ id }) => id);
    const witness = [{ size: 21, root: before?.root.toString('hex') ?? '' }];
    const checked = await verifyExport(await exported(scope), { trusted: keys, witnesses: witness });
    expect(checked).toMatchObject({ isValid: true, firstLeaf: 13, size: 22 });
    for (const { id } of await audit.page(scope, {}, { limit: 50, after: null })) {
      const { leafHash, leaf, size, proof, root } = await audit.inclusion(scope, id, undefined);
      expect(verifyInclusion(leafHash, leaf, size, proof, root)).toBe(true);
    }
    await expect(audit.consistency(scope, 12, 22)).rejects.toMatchObject({ code: 'invalid' });
    const { proof, roots } = await audit.consistency(scope, 13, 22);
    const [first, second] = roots;
    if (!first || !second) throw new Error('two roots were asked for');
    expect(verifyConsistency({ size: 13, root: first }, { size: 22, root: second }, proof)).toBe(true);
  });

  it('has one key, however many instances begin at once', async () => {
    const fresh = await createTestDatabase();
    const secretBox = createSecretBox(Buffer.alloc(32, 4), systemRandom);
    const begun = () =>
      createSequencer({
        store: createSequencerStore(fresh.database),
        secretBox,
        clock: systemClock,
        log: createLog('silent'),
        retentionDays: 90,
      });
    const ids = await Promise.all(Array.from({ length: 6 }, () => begun().keys.sign(({ id }) => id)));
    expect(new Set(ids).size).toBe(1);
    expect(await createAuditStore(fresh.database).publicKeys()).toHaveLength(1);
    await fresh.drop();
  });

  it('is signed by a new key once it was rotated, on instances too that had not heard; the old one signs nothing', async () => {
    const rotating = await createTestDatabase();
    try {
      const secretBox = createSecretBox(Buffer.alloc(32, 4), systemRandom);
      let behindMs = 0;
      const instance = (clock = systemClock) => {
        const parts = { store: createSequencerStore(rotating.database), secretBox, clock };
        const made = createSequencer({ ...parts, log: createLog('silent'), retentionDays: 90 });
        return {
          made,
          audit: createAudit({ store: createAuditStore(rotating.database), sequencer: made, clock }),
        };
      };
      const one = instance();
      // Its clock is behind, and it does not hear of the rotation.
      const two = instance({ ...systemClock, now: () => new Date(Date.now() - behindMs) });
      const scope = scopeOf(newId());
      const add = (n: number) =>
        one.audit.note(scope, {
          action: 'test.noted',
          targetType: 'test',
          targetId: String(n),
          outcome: 'done',
          details: null,
        });
      const sequenceBy = ({ made }: typeof one, size: number) =>
        until(async () => {
          await made.sequence();
          return (await one.audit.head(scope))?.size === size;
        });
      const linesOf = async (exporting: typeof one) => {
        const lines: string[] = [];
        for await (const line of exporting.audit.export(scope)) lines.push(line.slice(0, -1));
        return lines;
      };
      for (let n = 0; n < 9; n++) await add(n);
      await sequenceBy(two, 9);
      const old = await one.audit.head(scope);
      const before = await linesOf(two);
      const begunBefore = one.audit.export(scope);
      await begunBefore.next();
      await one.audit.rotateKey();
      behindMs = 60_000;
      await add(9);
      await sequenceBy(two, 10);
      const keys = await one.audit.publicKeys();
      expect(keys.map(({ retiredAt }) => retiredAt === null)).toEqual([false, true]);
      expect(old?.keyId).toBe(keys[0]?.id);
      expect(await one.audit.head(scope)).toMatchObject({ keyId: keys[1]?.id });
      // As an auditor has them who asked for them today.
      const known = { keys, trusted: keys.map(({ id }) => id) };
      for (const lines of [before, await linesOf(one), await linesOf(two)]) {
        expect((await verifyExport(lines, known)).problems).toEqual([]);
      }
      await expect(
        (async () => {
          for await (const _line of begunBefore);
        })(),
      ).rejects.toMatchObject({ code: 'conflict' });

      // What pruning leaves proves itself, too.
      await sql`alter table audit_entries disable trigger never_updated`.execute(rotating.database.platform);
      await sql`update audit_entries e set at = now() - interval '91 days' from audit_leaves l
        where l.entry_id = e.id and e.tenant_id = ${scope.tenantId} and l.leaf < 6`.execute(
        rotating.database.platform,
      );
      await sql`alter table audit_entries enable trigger never_updated`.execute(rotating.database.platform);
      await one.made.prune();
      await one.audit.rotateKey();
      await add(10);
      await sequenceBy(one, 11);
      const witnesses = [{ size: 9, root: old?.root.toString('hex') ?? '' }];
      const checked = await verifyExport(await linesOf(one), {
        keys: await one.audit.publicKeys(),
        witnesses,
      });
      expect(checked).toMatchObject({ isValid: true, firstLeaf: 6, size: 11, heads: 3 });
      expect(checked.keys).toHaveLength(3);

      const { rows } = await sql<{ kept: boolean }>`
        select sealed_private_key is not null as kept from audit_keys order by created_at`.execute(
        rotating.database.platform,
      );
      expect(rows.map(({ kept }) => kept)).toEqual([false, false, true]);
      const sign = (keyId: string) =>
        sql`insert into audit_heads (tenant_id, size, at, root, key_id, signature)
          values (${scope.tenantId}, 11, now() + interval '1 s', ${Buffer.alloc(32)}, ${keyId}, ${Buffer.alloc(64)})`.execute(
          rotating.database.platform,
        );
      await expect(sign(keys[0]?.id ?? '')).rejects.toThrow(/retired, or none/);
      await expect(sign('0'.repeat(32))).rejects.toThrow(/retired, or none/);
    } finally {
      await rotating.drop();
    }
  });

  it('goes on after its database was restored into a server that has come less far', async () => {
    const scope = scopeOf(newId());
    await note(scope, 1);
    await sequenceAll();
    await note(scope, 2);
    // As a dump of a server brings it that has had many more transactions.
    const far = sql`'9000000000000'::xid8`;
    await sql`alter table audit_entries alter column added_by type xid8 using ${far}`.execute(
      test.database.platform,
    );
    await sql`update audit_horizon set added_by = ${far}`.execute(test.database.platform);
    await note(scope, 3);
    await sequencer.renumber();
    await sequencer.renumber();
    await sequenceAll();
    const rows = await audit.page(scope, {}, { limit: 10, after: null });
    expect(rows.map(({ leaf }) => Number(leaf)).sort()).toEqual([0, 1, 2]);
    const keys = (await audit.publicKeys()).map(({ id }) => id);
    expect(await verifyExport(await exported(scope), { trusted: keys })).toMatchObject({
      isValid: true,
      size: 3,
    });
  });

  it('cannot be changed by the application, nor updated by anybody', async () => {
    const attempts = [
      'update audit_entries set entry = entry',
      'delete from audit_entries',
      'delete from audit_leaves',
    ];
    for (const attempt of attempts) {
      await expect(test.database.inTenant(mine, (tx) => sql.raw(attempt).execute(tx))).rejects.toMatchObject({
        code: '42501',
      });
    }
    await expect(
      sql`update audit_entries set entry = entry`.execute(test.database.platform),
    ).rejects.toMatchObject({ code: '23001' });
  });
});
