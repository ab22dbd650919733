import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { PageCursor } from '../../platform/page.ts';
import { usdFromNano } from '../money.ts';
import type { PriceCatalogue } from '../price-catalogue.ts';
import { type ComparedLine, compare, type Side } from './compare.ts';
import type { ExportedUsage } from './exported-usage.ts';
import { createModelNames } from './model-names.ts';
import type {
  ReconciliationRow,
  ReconciliationScope,
  ReconciliationsStore,
} from './reconciliations.store.ts';

export interface ReconciliationsDependencies {
  readonly store: ReconciliationsStore;
  readonly catalogue: Pick<PriceCatalogue, 'priceOf'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  /** Tenants that have a provider of that name of their own. */
  readonly tenantsWithOwn: (provider: string) => readonly string[];
  /** Resolves when what was recorded before can be read from the ledger. */
  readonly flush: () => Promise<unknown>;
}

export type Reconciliations = ReturnType<typeof createReconciliations>;

const dayMs = 86_400_000;
/** Models and days that the ledger may have in the time of an export. */
const maxLedgerGroups = 50_000;
/** Lines that are kept; of more, those that drift, in their order. */
const maxLines = 5_000;

export function createReconciliations(deps: ReconciliationsDependencies) {
  const { store } = deps;
  return {
    /**
     * Compares an export with the ledger and keeps the result. An owner who names no tenant compares the calls of all
     * tenants that went to the platform's provider of that name.
     * @param provider the name here of what the export is from.
     * @throws AppError `invalid` when the ledger has too many models in that time.
     */
    async reconcile(
      principal: Principal,
      exported: ExportedUsage,
      provider: string,
      tolerancePercent: string,
    ): Promise<ReconciliationRow> {
      await deps.flush();
      const scope = scopeOf(principal);
      const from = new Date(`${exported.firstDay}T00:00:00Z`);
      const to = new Date(Date.parse(`${exported.lastDay}T00:00:00Z`) + dayMs);
      const without = scope === 'platform' ? deps.tenantsWithOwn(provider) : [];
      const usage = await store.usage(scope, { provider, from, to, without, limit: maxLedgerGroups + 1 });
      if (usage.length > maxLedgerGroups) {
        throw new AppError(
          'invalid',
          'The ledger has too many models in that time. Export fewer days at once.',
          {
            errors: [{ path: 'file', message: `more than ${maxLedgerGroups} models and days` }],
          },
        );
      }
      const maker = exported.format.startsWith('openai') ? 'openai' : 'anthropic';
      const { total, lines } = compare(
        exported,
        usage,
        createModelNames(deps.catalogue, maker),
        tolerancePercent,
      );
      const drifting = lines.filter(({ withinTolerance }) => !withinTolerance);
      const kept = lines.length <= maxLines ? lines : drifting.slice(0, maxLines);
      const row: ReconciliationRow = {
        id: deps.newId(),
        format: exported.format,
        provider,
        period_start: from,
        period_end: to,
        tolerance_percent: tolerancePercent,
        within_tolerance: drifting.length === 0,
        totals: {
          ...shownLine(total),
          lines: lines.length,
          lines_shown: kept.length,
          lines_outside: drifting.length,
          only_exported: lines.filter(({ ledger }) => ledger === null).length,
          only_in_ledger: lines.filter(({ exported: side }) => side === null).length,
        },
        lines: kept.map(shownLine),
        created_by: principal.keyId,
        created_at: deps.clock.now(),
      };
      await store.add(scope, row);
      return row;
    },

    page: (principal: Principal, page: { readonly limit: number; readonly after: PageCursor | null }) =>
      store.page(scopeOf(principal), page),

    /** @throws AppError `not_found`. */
    async reconciliation(principal: Principal, id: string): Promise<ReconciliationRow> {
      const row = await store.find(scopeOf(principal), id);
      if (!row) throw notFound('reconciliation');
      return row;
    },
  };
}

function scopeOf(principal: Principal): ReconciliationScope {
  return principal.role === 'owner' && !principal.actsInNamedTenant ? 'platform' : principal;
}

/** As it is kept and shown: money as decimals, because a number of JSON loses digits. */
function shownLine(line: ComparedLine) {
  const { day, model, names, exported, ledger, drift, withinTolerance } = line;
  return {
    day,
    model,
    names,
    found: exported === null ? 'ledger' : ledger === null ? 'export' : 'both',
    within_tolerance: withinTolerance,
    exported: exported && shownSide(exported),
    ledger: ledger && { ...shownSide(ledger), unpriced_calls: ledger.unpriced },
    drift: shownSide(drift),
  };
}

function shownSide({ calls, tokens, nanoUsd }: Side) {
  return { calls, tokens, cost_usd: nanoUsd === null ? null : usdFromNano(nanoUsd) };
}
