import { type ColumnType, type Selectable, sql } from 'kysely';
import type { Tier } from '../access/index.ts';
import type { Database, DatabaseScope, Tx } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { Page, PageCursor } from '../platform/page.ts';
import type { SomeFigures } from './limit-figures.ts';
import { eachOfItsOwn, type LimitRule, type RuleScope, rulesAtMost } from './limit-rules.ts';

type Figures = ColumnType<SomeFigures, string, string>;

type Tables = {
  limit_tiers: { tier: Tier; figures: Figures; updated_by: string; updated_at: Date };
  limit_rules: {
    id: string;
    tenant_id: string;
    scope: RuleScope;
    subject: string;
    figures: Figures;
    expires_at: Date | null;
    created_by: string;
    created_at: Date;
    updated_at: Date;
  };
};

/** PostgreSQL's code for, among others, a time zone that it does not know. */
const invalidParameter = '22023';

export type LimitsStore = ReturnType<typeof createLimitsStore>;

/** SQL of tiers and rules. A tenant's rules are read and written for its callers under row-level security. */
export function createLimitsStore(database: Database) {
  const platform = database.platform.withTables<Tables>();

  return {
    async tiers(): Promise<ReadonlyMap<Tier, SomeFigures>> {
      const rows = await platform.selectFrom('limit_tiers').select(['tier', 'figures']).execute();
      return new Map(rows.map(({ tier, figures }) => [tier, figures]));
    },

    /** @param change is given what is set, and returns what shall be. */
    changeTier: (
      tier: Tier,
      change: (before: SomeFigures) => SomeFigures,
      by: string,
      at: Date,
    ): Promise<void> =>
      platform.transaction().execute(async (tx) => {
        // The row may not be there yet, so what is held is the name.
        await sql`select pg_advisory_xact_lock(hashtextextended(${`limit tier ${tier}`}, 0))`.execute(tx);
        const row = await tx
          .selectFrom('limit_tiers')
          .select('figures')
          .where('tier', '=', tier)
          .executeTakeFirst();
        const figures = JSON.stringify(change(row?.figures ?? {}));
        const written = { figures, updated_by: by, updated_at: at };
        await tx
          .insertInto('limit_tiers')
          .values({ tier, ...written })
          .onConflict((conflict) => conflict.column('tier').doUpdateSet(written))
          .execute();
      }),

    /** Whether the database can compute in that time zone: reports of days are made there. */
    async knowsTimeZone(name: string): Promise<boolean> {
      try {
        await sql`select now() at time zone ${name}::text`.execute(platform);
        return true;
      } catch (error) {
        if ((error as { code?: string }).code === invalidParameter) return false;
        throw error;
      }
    },

    async allRules(): Promise<LimitRule[]> {
      const rows = await platform.selectFrom('limit_rules').selectAll().orderBy('id').execute();
      return rows.map(ruleOf);
    },
    async rulesOf(tenantId: string): Promise<LimitRule[]> {
      const all = platform.selectFrom('limit_rules').selectAll().where('tenant_id', '=', tenantId);
      return (await all.orderBy('id').execute()).map(ruleOf);
    },

    rules: (scope: DatabaseScope, { limit, after }: Page<PageCursor>): Promise<LimitRule[]> =>
      database.inTenant(scope, async (tx) => {
        let query = tx.withTables<Tables>().selectFrom('limit_rules').selectAll();
        if (after) {
          query = query.where((eb) =>
            eb(eb.refTuple('created_at', 'id'), '<', eb.tuple(after.createdAt, after.id)),
          );
        }
        const rows = await query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute();
        return rows.map(ruleOf);
      }),

    /** @throws AppError `conflict` where there is such a rule already, or there are too many; `invalid` without its subject. */
    addRule: (scope: DatabaseScope, rule: LimitRule): Promise<void> =>
      database.inTenant(scope, async (untyped) => {
        const tx = untyped.withTables<Tables>();
        await sql`select pg_advisory_xact_lock(hashtextextended(${`limit rules ${rule.tenantId}`}, 0))`.execute(
          tx,
        );
        await refuseStrangers(untyped, rule);
        const { count } = await tx
          .selectFrom('limit_rules')
          .select((eb) => eb.fn.countAll<bigint>().as('count'))
          .executeTakeFirstOrThrow();
        if (count >= BigInt(rulesAtMost)) {
          throw new AppError(
            'conflict',
            `A tenant has at most ${rulesAtMost} rules. Delete one that is not needed.`,
          );
        }
        const added = await tx
          .insertInto('limit_rules')
          .values(rowOf(rule))
          .onConflict((conflict) => conflict.columns(['tenant_id', 'scope', 'subject']).doNothing())
          .executeTakeFirst();
        if (added.numInsertedOrUpdatedRows === 0n) {
          const detail = `There is a rule for ${rule.scope} "${rule.subject}" already. Change that one.`;
          throw new AppError('conflict', detail);
        }
      }),

    /** @returns the rule afterwards; undefined when there is none. */
    changeRule: (
      scope: DatabaseScope,
      id: string,
      change: (before: LimitRule) => LimitRule,
    ): Promise<LimitRule | undefined> =>
      database.inTenant(scope, async (untyped) => {
        const tx = untyped.withTables<Tables>();
        const rules = tx.selectFrom('limit_rules').selectAll().where('id', '=', id);
        const row = await rules.forUpdate().executeTakeFirst();
        if (!row) return undefined;
        const changed = change(ruleOf(row));
        const { figures, expires_at, updated_at } = rowOf(changed);
        await tx
          .updateTable('limit_rules')
          .set({ figures, expires_at, updated_at })
          .where('id', '=', id)
          .execute();
        return changed;
      }),

    /** @returns whether there was one. */
    deleteRule: (scope: DatabaseScope, id: string): Promise<boolean> =>
      database.inTenant(scope, async (tx) => {
        const rules = tx.withTables<Tables>().deleteFrom('limit_rules').where('id', '=', id);
        return (await rules.executeTakeFirst()).numDeletedRows > 0n;
      }),
  };
}

/** A limit of a user or key that is not there would look like one that holds. @throws AppError `invalid`. */
async function refuseStrangers(tx: Tx, { scope, subject }: LimitRule): Promise<void> {
  if ((scope !== 'user' && scope !== 'key') || subject === eachOfItsOwn) return;
  const table = scope === 'user' ? 'users' : 'api_keys';
  const { rows } = await sql`select 1 from ${sql.table(table)} where id::text = ${subject}`.execute(tx);
  if (rows.length > 0) return;
  const message = `there is no such ${scope} in this tenant; give its id, or * for each one of its own`;
  throw new AppError('invalid', `subject: ${message}.`, { errors: [{ path: 'subject', message }] });
}

function ruleOf(row: Selectable<Tables['limit_rules']>): LimitRule {
  return {
    id: row.id,
    tenantId: row.tenant_id,
    scope: row.scope,
    subject: row.subject,
    figures: row.figures,
    expiresAt: row.expires_at,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

function rowOf(rule: LimitRule) {
  return {
    id: rule.id,
    tenant_id: rule.tenantId,
    scope: rule.scope,
    subject: rule.subject,
    figures: JSON.stringify(rule.figures),
    expires_at: rule.expiresAt,
    created_by: rule.createdBy,
    created_at: rule.createdAt,
    updated_at: rule.updatedAt,
  };
}
