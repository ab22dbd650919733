import { sql } from 'kysely';
import type { Database, DatabaseScope } from '../../platform/database/database.ts';
import type { PageCursor } from '../../platform/page.ts';
import type { CataloguePrices } from '../price.ts';

/** Whose prices are written: a tenant's, under row-level security, or the platform's own. */
export type PriceScope = DatabaseScope | 'platform';

interface RuleRow {
  readonly id: string;
  readonly tenant_id: string | null;
  readonly effective_from: Date;
  readonly reason: string | null;
  readonly created_by: string;
  readonly created_at: Date;
  readonly withdrawn_by: string | null;
  readonly withdrawn_at: Date | null;
}

export interface OverrideRow extends RuleRow {
  readonly provider: string;
  readonly model: string;
  readonly components: CataloguePrices;
}

export interface DiscountRow extends RuleRow {
  readonly provider: string | null;
  readonly model: string | null;
  readonly percent: string;
  readonly effective_to: Date | null;
}

export type NewRule<Row extends RuleRow> = Omit<Row, 'withdrawn_by' | 'withdrawn_at'>;

/** Which rows a list shows: those a scope may see, about one provider and one model if so wished. */
export interface RuleFilter {
  readonly provider: string | null;
  readonly model: string | null;
  readonly withdrawn: boolean;
}

type Tables = { price_overrides: OverrideRow; discounts: DiscountRow };
type Table = keyof Tables;

export type PricesStore = ReturnType<typeof createPricesStore>;

/** SQL of price overrides and discounts. */
export function createPricesStore(database: Database) {
  const platform = database.platform.withTables<Tables>();
  type Writer = typeof platform;
  const within = <T>(
    scope: PriceScope,
    work: (db: Writer, tenantId: string | null) => Promise<T>,
  ): Promise<T> =>
    scope === 'platform'
      ? work(platform, null)
      : database.inTenant(scope, (tx) => work(tx.withTables<Tables>(), scope.tenantId));

  /** Adds a row unless the scope has as many that hold as it may. @returns whether it was added. */
  const add = async (
    scope: PriceScope,
    table: Table,
    most: number,
    insert: (db: Writer) => Promise<unknown>,
  ) =>
    within(scope, async (db, tenantId) => {
      const { held } = await db
        .selectFrom(table)
        .select((eb) => eb.fn.countAll<bigint>().as('held'))
        .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
        .where('withdrawn_at', 'is', null)
        .executeTakeFirstOrThrow();
      if (held >= BigInt(most)) return false;
      await insert(db);
      return true;
    });

  const page = <Row extends RuleRow>(
    scope: PriceScope,
    table: Table,
    filter: RuleFilter,
    { limit, after }: { readonly limit: number; readonly after: PageCursor | null },
  ): Promise<Row[]> =>
    within(scope, async (db, tenantId) => {
      const own = tenantId === null ? sql`tenant_id is null` : sql`true`;
      const later = after ? sql`and (created_at, id) < (${after.createdAt}, ${after.id})` : sql``;
      const { rows } = await sql<Row>`select * from ${sql.table(table)}
        where ${own} ${later}
          ${filter.provider === null ? sql`` : sql`and provider = ${filter.provider}`}
          ${filter.model === null ? sql`` : sql`and (model = ${filter.model} or model like '%*' and starts_with(${filter.model}, rtrim(model, '*')))`}
          ${filter.withdrawn ? sql`` : sql`and withdrawn_at is null`}
        order by created_at desc, id desc limit ${limit}`.execute(db);
      return rows;
    });

  /** @returns whether the scope had such a row that was not withdrawn before. */
  const withdraw = (scope: PriceScope, table: Table, id: string, by: string, at: Date): Promise<boolean> =>
    within(scope, async (db, tenantId) => {
      const { numUpdatedRows } = await db
        .updateTable(table)
        .set({ withdrawn_by: by, withdrawn_at: at })
        .where('id', '=', id)
        .where('tenant_id', tenantId === null ? 'is' : '=', tenantId)
        .where('withdrawn_at', 'is', null)
        .executeTakeFirst();
      return numUpdatedRows > 0n;
    });

  return {
    /** Everything that holds, of every tenant. */
    allOverrides: (): Promise<OverrideRow[]> =>
      platform.selectFrom('price_overrides').selectAll().where('withdrawn_at', 'is', null).execute(),
    allDiscounts: (): Promise<DiscountRow[]> =>
      platform.selectFrom('discounts').selectAll().where('withdrawn_at', 'is', null).execute(),

    addOverride: (scope: PriceScope, row: NewRule<OverrideRow>, most: number): Promise<boolean> =>
      add(scope, 'price_overrides', most, (db) =>
        sql`insert into price_overrides
            (id, tenant_id, provider, model, effective_from, components, reason, created_by, created_at)
          values (${row.id}, ${row.tenant_id}, ${row.provider}, ${row.model}, ${row.effective_from},
            ${JSON.stringify(row.components)}::jsonb, ${row.reason}, ${row.created_by}, ${row.created_at})`.execute(
          db,
        ),
      ),
    addDiscount: (scope: PriceScope, row: NewRule<DiscountRow>, most: number): Promise<boolean> =>
      add(scope, 'discounts', most, (db) =>
        sql`insert into discounts
            (id, tenant_id, provider, model, percent, effective_from, effective_to, reason, created_by, created_at)
          values (${row.id}, ${row.tenant_id}, ${row.provider}, ${row.model}, ${row.percent}, ${row.effective_from},
            ${row.effective_to}, ${row.reason}, ${row.created_by}, ${row.created_at})`.execute(db),
      ),

    /** Newest first: a tenant's own and the platform's; the platform's only for the platform. */
    overrides: (scope: PriceScope, filter: RuleFilter, asked: { limit: number; after: PageCursor | null }) =>
      page<OverrideRow>(scope, 'price_overrides', filter, asked),
    discounts: (scope: PriceScope, filter: RuleFilter, asked: { limit: number; after: PageCursor | null }) =>
      page<DiscountRow>(scope, 'discounts', filter, asked),

    withdrawOverride: (scope: PriceScope, id: string, by: string, at: Date) =>
      withdraw(scope, 'price_overrides', id, by, at),
    withdrawDiscount: (scope: PriceScope, id: string, by: string, at: Date) =>
      withdraw(scope, 'discounts', id, by, at),
  };
}
