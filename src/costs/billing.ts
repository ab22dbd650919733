import { existsSync, readFileSync } from 'node:fs';
import type { Routes } from '../platform/api.ts';
import type { Clock } from '../platform/clock.ts';
import type { Database } from '../platform/database/database.ts';
import type { NewId } from '../platform/ids.ts';
import type { Jobs } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import { adjustmentsRoutes } from './adjustments/adjustments.routes.ts';
import { createAdjustments } from './adjustments/adjustments.service.ts';
import { createAdjustmentsStore } from './adjustments/adjustments.store.ts';
import { bundledFont, type InvoiceFont } from './invoices/invoice-pdf.ts';
import { invoicesRoutes } from './invoices/invoices.routes.ts';
import { createInvoices } from './invoices/invoices.service.ts';
import { createInvoicesStore } from './invoices/invoices.store.ts';
import type { PriceCatalogue } from './price-catalogue.ts';
import { pricesRoutes } from './prices/prices.routes.ts';
import { createPrices } from './prices/prices.service.ts';
import { createPricesStore } from './prices/prices.store.ts';
import { reconciliationsRoutes } from './reconciliation/reconciliations.routes.ts';
import { createReconciliations } from './reconciliation/reconciliations.service.ts';
import { createReconciliationsStore } from './reconciliation/reconciliations.store.ts';

export interface BillingDependencies {
  readonly database: Database;
  /** Before its `start`: repricing registers its job. */
  readonly jobs: Pick<Jobs, 'register'>;
  readonly catalogue: PriceCatalogue;
  readonly clock: Clock;
  readonly newId: NewId;
  readonly log: Log;
  /** Hears of every change of prices, on whatever instance, and of gaps in hearing. */
  readonly subscribe: (onChange: () => void, onGap: () => void) => void;
  /** Where a provider of the tenant's is; empty when there is none of that name. */
  readonly addressOf: (tenantId: string, provider: string) => string;
  /** Tenants that have a provider of that name of their own. */
  readonly tenantsWithOwn: (provider: string) => readonly string[];
  /** Resolves when what was recorded before can be read from the ledger. */
  readonly flush: () => Promise<unknown>;
  /** A TrueType or OpenType font for invoices whose names the bundled one has no letters for; it need not exist. */
  readonly fontFile: string;
}

/** What comes before and after the ledger: prices of one's own, corrections, invoices, reconciliation. */
export function createBilling(deps: BillingDependencies) {
  const { database, clock } = deps;
  const now = () => clock.now();
  const prices = createPrices({ ...deps, store: createPricesStore(database) });
  const adjustments = createAdjustments({ ...deps, store: createAdjustmentsStore(database), prices });
  const invoices = createInvoices({ ...deps, store: createInvoicesStore(database) });
  const reconciliations = createReconciliations({ ...deps, store: createReconciliationsStore(database) });
  let font: InvoiceFont | null = null;
  const fontOf = (): InvoiceFont => {
    font ??= existsSync(deps.fontFile) ? ownFont(deps.fontFile) : bundledFont();
    return font;
  };
  const routes: readonly Routes[] = [
    pricesRoutes(prices, deps.addressOf, now),
    adjustmentsRoutes(adjustments),
    invoicesRoutes(invoices, fontOf, now),
    reconciliationsRoutes(reconciliations),
  ];
  return {
    /** The catalogue as tenants have it. */
    prices,
    routes,
    async start(): Promise<void> {
      await prices.start();
      invoices.start();
    },
    stop: () => invoices.stop(),
  };
}

function ownFont(path: string): InvoiceFont {
  const regular = readFileSync(path);
  return { regular, bold: regular };
}
