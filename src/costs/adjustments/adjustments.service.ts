import type { Principal } from '../../access/index.ts';
import type { Clock } from '../../platform/clock.ts';
import type { DatabaseScope } from '../../platform/database/database.ts';
import { AppError, notFound } from '../../platform/errors.ts';
import type { NewId } from '../../platform/ids.ts';
import type { JobQueue, JobState, Jobs, RunStep } from '../../platform/jobs/index.ts';
import type { PageCursor } from '../../platform/page.ts';
import type {
  AdjustmentKind,
  AdjustmentRow,
  AdjustmentsStore,
  RepriceRange,
  RowCursor,
} from './adjustments.store.ts';
import {
  addCounts,
  createReprice,
  noneRepriced,
  type RepriceCounts,
  type RepriceDependencies,
  type Repricing,
} from './reprice.ts';

export interface AdjustmentsDependencies extends Omit<RepriceDependencies, 'newId'> {
  readonly store: AdjustmentsStore;
  readonly jobs: Pick<Jobs, 'register'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  /** Resolves when what was recorded before can be read from the ledger. */
  readonly flush: () => Promise<unknown>;
  /** Rows of the ledger that are looked at in one transaction; default 1,000. */
  readonly batchRows?: number;
  /** Rows that one request looks at; more is left to a job; default 5,000. */
  readonly rowsAtOnce?: number;
}

export interface NewAdjustment {
  readonly kind: Exclude<AdjustmentKind, 'reprice'>;
  readonly nanoUsd: bigint;
  readonly reason: string;
  readonly at: Date | null;
  readonly ledgerId: string | null;
  readonly provider: string | null;
  readonly model: string | null;
}

export interface RepriceAsked extends RepriceRange {
  readonly reason: string | null;
  readonly dryRun: boolean;
}

/** What a repricing did, would do, or has done so far. */
export interface RepriceReport {
  /** Null: nothing was written. */
  readonly batchId: string | null;
  readonly state: 'done' | 'running' | 'failed';
  /** Null while a job is at it: then `sums` tell what it wrote so far. */
  readonly counts: RepriceCounts | null;
  readonly sums: { readonly adjusted: number; readonly newlyPriced: number; readonly deltaNanoUsd: bigint };
}

type JobInput = {
  readonly tenantId: string;
  readonly batchId: string;
  readonly from: string;
  readonly to: string;
  readonly provider: string | null;
  readonly model: string | null;
  readonly reason: string;
  readonly createdBy: string;
  readonly createdAt: string;
};

export type Adjustments = ReturnType<typeof createAdjustments>;

const dayMs = 86_400_000;
const longestRangeDays = 366;
/** A dry run answers in one request, however many rows there are. */
const mostDryRunRows = 50_000;
const defaultReason = 'Computed anew with the prices that hold for that time';

export function createAdjustments(deps: AdjustmentsDependencies) {
  const { store, clock, newId } = deps;
  const batchRows = deps.batchRows ?? 1_000;
  const rowsAtOnce = deps.rowsAtOnce ?? 5_000;

  /** @returns the counts of one batch, and where the next one begins; null after the last. */
  const repriceBatch = async (
    about: Repricing,
    range: RepriceRange,
    after: RowCursor | null,
    write: boolean,
  ): Promise<{ counts: RepriceCounts; next: RowCursor | null }> => {
    let counts = noneRepriced;
    const reprice = createReprice(about, { ...deps, newId });
    const scope: DatabaseScope = { tenantId: about.tenantId, readerTokens: [] };
    const rows = await store.repriceNext(scope, range, after, batchRows, (found) => {
      const made = reprice(found);
      counts = made.counts;
      return write ? made : { rows: [], prices: [] };
    });
    const last = rows.at(-1);
    return { counts, next: last && rows.length === batchRows ? { at: last.at, id: last.id } : null };
  };

  const jobs: JobQueue<JobInput> = deps.jobs.register<JobInput>({
    name: 'reprice',
    concurrency: 2,
    concurrencyPerPartition: 1,
    maxRecoveries: 10,
    run: (input, step) => repriceAll(input, step),
  });

  async function repriceAll(input: JobInput, step: RunStep): Promise<void> {
    const range = { ...input, from: new Date(input.from), to: new Date(input.to) };
    const about = { ...input, createdAt: new Date(input.createdAt) };
    let after: RowCursor | null = null;
    do {
      const from: RowCursor | null = after;
      // Repeated after a crash, a batch finds its adjustments and writes none.
      const next: { at: string; id: string } | null = await step(
        'batch',
        async () => {
          const done = await repriceBatch(about, range, from, true);
          return done.next && { at: done.next.at.toISOString(), id: done.next.id };
        },
        { attempts: 5, firstDelayMs: 500 },
      );
      after = next && { at: new Date(next.at), id: next.id };
    } while (after);
  }

  const sumsOf = (counts: RepriceCounts) => {
    const { adjusted, newlyPriced, deltaNanoUsd } = counts;
    return { adjusted, newlyPriced, deltaNanoUsd };
  };

  return {
    /**
     * Adds a credit or a correction: to what one call cost, or to no call in particular.
     * @throws AppError `not_found` when there is no such call.
     */
    async add(principal: Principal, given: NewAdjustment): Promise<AdjustmentRow> {
      const now = clock.now();
      const call = given.ledgerId === null ? null : await callOf(principal, given.ledgerId);
      const row: AdjustmentRow = {
        id: newId(),
        kind: given.kind,
        ledger_id: given.ledgerId,
        operation: call?.operation ?? null,
        route: call?.route ?? null,
        provider: call?.provider ?? given.provider,
        model: call?.model ?? given.model,
        tier: call?.tier ?? null,
        key_id: call?.key_id ?? null,
        user_id: call?.user_id ?? null,
        prompt_id: call?.prompt_id ?? null,
        tags: call?.tags ?? [],
        at: call?.at ?? given.at ?? now,
        delta_nano_usd: given.nanoUsd,
        priced_now: false,
        price_id: null,
        price_version: null,
        reason: given.reason,
        batch_id: newId(),
        created_by: principal.keyId,
        created_at: now,
      };
      if (row.at > now || row.at.getTime() < now.getTime() - longestRangeDays * dayMs) {
        throw new AppError('invalid', 'An adjustment counts for a time in the past 366 days.', {
          errors: [{ path: 'at', message: 'must be in the past 366 days' }],
        });
      }
      await store.add(principal, [row]);
      return row;
    },

    page: (
      scope: DatabaseScope,
      asked: { limit: number; after: PageCursor | null; kind: AdjustmentKind | null; batchId: string | null },
    ) => store.page(scope, asked),

    /**
     * Computes the cost of calls anew, from the tokens in the ledger and the prices that hold now for their time, and
     * writes the differences as adjustments: at once, or by a job when there are many rows. Run twice it adds nothing.
     * @throws AppError `invalid` when `to` is not after `from`, or they are more than 366 days apart.
     */
    async reprice(principal: Principal, asked: RepriceAsked): Promise<RepriceReport> {
      const days = (asked.to.getTime() - asked.from.getTime()) / dayMs;
      if (days <= 0 || days > longestRangeDays) {
        throw new AppError('invalid', '"to" must be after "from", by at most 366 days.', {
          errors: [{ path: 'to', message: 'must be after from, by at most 366 days' }],
        });
      }
      await deps.flush();
      const { from, to, provider, model } = asked;
      const range = { from, to, provider, model };
      const about: Repricing = {
        tenantId: principal.tenantId,
        batchId: newId(),
        reason: asked.reason ?? defaultReason,
        createdBy: principal.keyId,
        createdAt: clock.now(),
      };
      const most = asked.dryRun ? mostDryRunRows : rowsAtOnce;
      if ((await store.countRows(principal, range, most + 1)) > most) {
        if (asked.dryRun) throw tooManyForDryRun();
        const { createdAt, ...plain } = about;
        const span = { from: from.toISOString(), to: to.toISOString(), provider, model };
        const input = { ...plain, ...span, createdAt: createdAt.toISOString() };
        await jobs.enqueue(jobId(principal, about.batchId), principal.tenantId, input);
        return { batchId: about.batchId, state: 'running', counts: null, sums: sumsOf(noneRepriced) };
      }
      let counts = noneRepriced;
      let after: RowCursor | null = null;
      do {
        const batch: Awaited<ReturnType<typeof repriceBatch>> = await repriceBatch(
          about,
          range,
          after,
          !asked.dryRun,
        );
        counts = addCounts(counts, batch.counts);
        after = batch.next;
      } while (after);
      return { batchId: asked.dryRun ? null : about.batchId, state: 'done', counts, sums: sumsOf(counts) };
    },

    /**
     * What a repricing has written so far.
     * @throws AppError `not_found` when it wrote nothing, and no job of the tenant's is at it or ended within the hour.
     */
    async repriced(scope: DatabaseScope, batchId: string): Promise<RepriceReport> {
      const id = jobId(scope, batchId);
      // First the state: what a job has written that is done is all that it writes.
      const job = (await jobs.states([id])).get(id);
      const sums = await store.sumsOfBatch(scope, batchId);
      if (sums.adjustments === 0n && job === undefined) throw notFound('repricing');
      return {
        batchId,
        state: stateOf(job),
        counts: null,
        sums: {
          adjusted: Number(sums.adjustments),
          newlyPriced: Number(sums.newly_priced),
          deltaNanoUsd: sums.delta_nano_usd,
        },
      };
    },
  };

  async function callOf(principal: Principal, ledgerId: string) {
    await deps.flush();
    const call = await store.ledgerRow(principal, ledgerId);
    if (!call) throw notFound('call');
    return call;
  }
}

/** It names the tenant, so that nobody is told of another one's. */
function jobId({ tenantId }: Pick<DatabaseScope, 'tenantId'>, batchId: string): string {
  return `reprice:${tenantId}:${batchId}`;
}

function stateOf(job: JobState | undefined): RepriceReport['state'] {
  if (job === 'waiting' || job === 'running') return 'running';
  return job === 'failed' || job === 'given_up' ? 'failed' : 'done';
}

function tooManyForDryRun(): AppError {
  return new AppError(
    'invalid',
    `A dry run looks at ${mostDryRunRows} calls at most. Ask for a shorter time, one provider or one model.`,
    { errors: [{ path: 'to', message: `more than ${mostDryRunRows} calls since from` }] },
  );
}
