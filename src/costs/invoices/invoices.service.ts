import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { Log } from '../../platform/log.ts';
import type { PageCursor } from '../../platform/page.ts';
import { type BillingMonth, monthAfter, monthAround } from './billing-month.ts';
import { type InvoiceLine, restored } from './invoice-lines.ts';
import type { BillingState, InvoiceHead, InvoiceRow, InvoicesStore } from './invoices.store.ts';

export interface InvoicesDependencies {
  readonly store: InvoicesStore;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
  readonly newId: NewId;
  readonly log: Log;
  /** Resolves when what was recorded before can be read from the ledger. */
  readonly flush: () => Promise<unknown>;
}

/** An invoice, or what it would be if it were issued now. */
export interface Invoice {
  /** The month while it is a draft. */
  readonly id: string;
  readonly status: 'draft' | 'issued';
  /** Null while it is a draft. */
  readonly number: string | null;
  readonly month: string;
  readonly timeZone: string;
  readonly start: Date;
  readonly end: Date;
  readonly tenant: { readonly name: string; readonly slug: string };
  readonly exactNanoUsd: bigint;
  readonly totalCents: bigint;
  readonly issuedAt: Date | null;
}

export interface WholeInvoice extends Invoice {
  readonly lines: readonly InvoiceLine[];
}

export type Invoices = ReturnType<typeof createInvoices>;

/** After a month has ended, calls of it may still be on their way into the ledger. */
const graceMs = 60 * 60_000;
const lookEveryMs = 10 * 60_000;
const tenantsAtOnce = 200;
/** A tenant's months that one look issues; what is left is for the next. */
const monthsAtOnce = 24;

export function createInvoices(deps: InvoicesDependencies) {
  const { store, clock, log } = deps;
  const stopping = new AbortController();
  let loop: Promise<void> = Promise.resolve();

  /** Issues what has been due for an hour. @returns the month that is not yet; null when there never was anything. */
  const issueDueOf = async (found: BillingState): Promise<BillingMonth | null> => {
    let month = nextMonth(found);
    const tenant = { id: found.tenant_id, slug: found.slug, name: found.name, timeZone: found.time_zone };
    for (let issued = 0; month !== null && issued < monthsAtOnce; issued++) {
      const now = clock.now();
      if (month.end.getTime() + graceMs > now.getTime()) break;
      // Whoever was first issued it; what follows is counted from what stands there.
      if (!(await store.issue(tenant, month, deps.newId(), now))) {
        const again = await store.billingState(tenant.id);
        return again ? nextMonth(again) : null;
      }
      month = monthAfter(tenant.timeZone, month);
    }
    return month;
  };

  const issueDue = async (): Promise<void> => {
    let after: string | null = null;
    do {
      const states: BillingState[] = await store.billingStates(after, tenantsAtOnce);
      for (const found of states) {
        if (stopping.signal.aborted) return;
        await issueDueOf(found).catch((err) =>
          log.warn({ err, tenant: found.tenant_id }, 'an invoice could not be issued; it is tried again'),
        );
      }
      after = states.length === tenantsAtOnce ? (states.at(-1)?.tenant_id ?? null) : null;
    } while (after !== null);
  };

  /** The tenant's invoices are all issued that can be. @returns the month that goes on. */
  const current = async (scope: DatabaseScope): Promise<BillingMonth | null> => {
    await deps.flush();
    const found = await store.billingState(scope.tenantId);
    return found ? issueDueOf(found) : null;
  };

  const draftOf = async (principal: Principal, month: BillingMonth): Promise<WholeInvoice> => ({
    id: month.label,
    status: 'draft',
    number: null,
    month: month.label,
    timeZone: principal.tenant.timeZone,
    start: month.start,
    end: month.end,
    tenant: { name: principal.tenant.name, slug: principal.tenant.slug },
    issuedAt: null,
    ...(await store.draft(principal, month)),
  });

  return {
    /** Looks for invoices that are due, from now on and until `stop`. */
    start(): void {
      loop = (async () => {
        while (!stopping.signal.aborted) {
          await issueDue().catch((err) => log.warn({ err }, 'invoices that are due could not be looked for'));
          await clock.sleep(lookEveryMs, stopping.signal).catch(() => {});
        }
      })();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await loop;
    },
    /** One round of what `start` does every ten minutes. */
    issueDue,

    /** The draft first, on the first page, then issued invoices, the latest first. */
    async list(
      principal: Principal,
      page: { readonly limit: number; readonly after: PageCursor | null },
    ): Promise<{ draft: Invoice | null; issued: readonly InvoiceHead[] }> {
      const month = await current(principal);
      const draft = month === null || page.after !== null ? null : await draftOf(principal, month);
      return { draft, issued: await store.page(principal, page) };
    },

    /**
     * @param which an invoice's id, or a month as `YYYY-MM`, which may be the one that goes on.
     * @throws AppError `not_found`.
     */
    async invoice(principal: Principal, which: string): Promise<WholeInvoice> {
      const month = await current(principal);
      if (month !== null && which === month.label) return draftOf(principal, month);
      const found = await store.find(principal, monthForm.test(which) ? { month: which } : { id: which });
      if (!found) throw notFound('invoice');
      return issuedInvoice(found);
    },
  };
}

const monthForm = /^\d{4}-\d{2}$/;

/** The first month that is not issued; null when there is nothing to ask for. */
function nextMonth(found: BillingState): BillingMonth | null {
  const { time_zone, last_month, last_end, first_at } = found;
  if (last_month !== null && last_end !== null)
    return monthAfter(time_zone, { label: last_month, end: last_end });
  return first_at === null ? null : monthAround(time_zone, first_at);
}

function issuedInvoice(row: InvoiceRow): WholeInvoice {
  return { ...issuedHead(row), lines: row.lines.map(restored) };
}

export function issuedHead(row: InvoiceHead): Invoice {
  return {
    id: row.id,
    status: 'issued',
    number: row.number,
    month: row.month,
    timeZone: row.time_zone,
    start: row.period_start,
    end: row.period_end,
    tenant: { name: row.tenant_name, slug: row.tenant_slug },
    exactNanoUsd: row.exact_nano_usd,
    totalCents: row.total_cents,
    issuedAt: row.issued_at,
  };
}
