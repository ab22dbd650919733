import type { Clock } from '../platform/clock.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError, notFound } from '../platform/errors.ts';
import type { PageCursor } from '../platform/page.ts';
import type { AuditFilters, AuditRow, AuditStore, NotedEntry } from './audit.store.ts';
import { ExportWriter, leafOf } from './export-lines.ts';
import {
  consistencyRanges,
  type Hash,
  hashOfRange,
  inclusionRanges,
  type LeafRange,
  subtreesOf,
} from './merkle-tree.ts';
import { platformLog } from './platform-log.ts';
import type { Sequencer } from './sequencer.ts';
import type { SignedTreeHead } from './tree-head.ts';

export interface AuditDependencies {
  readonly store: AuditStore;
  readonly sequencer: Pick<Sequencer, 'keys'>;
  readonly clock: Clock;
}

export type Audit = ReturnType<typeof createAudit>;

/** Entries that an export reads at a time. */
const exportBatch = 1_000;

/** A tenant's audit log: what is in it, and proof that nothing in it was changed, left out or put in another order. */
export function createAudit({ store, sequencer, clock }: AuditDependencies) {
  const hashesOf = async (scope: DatabaseScope, ranges: readonly LeafRange[]): Promise<Hash[]> => {
    const nodes = await store.nodes(scope, ranges.flatMap(subtreesOf));
    const known = new Map(nodes.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
    return ranges.map((range) =>
      hashOfRange(range, ({ level, index }) => known.get(`${level}/${index}`) ?? missing(level, index)),
    );
  };

  /** @throws AppError `invalid` when the log is not or no longer of that size. */
  const withinLog = async (scope: DatabaseScope, size: number, path: string): Promise<void> => {
    const { size: whole, firstLeaf } = await store.state(scope);
    if (size > whole || size < firstLeaf) {
      throw new AppError('invalid', `The log can be proved from ${firstLeaf} to ${whole} entries.`, {
        errors: [{ path, message: `must be from ${firstLeaf} to ${whole}` }],
      });
    }
  };

  return {
    page: (
      scope: DatabaseScope,
      filters: AuditFilters,
      page: { limit: number; after: PageCursor | null },
    ): Promise<AuditRow[]> => store.page(scope, filters, page),

    /** @throws AppError `not_found`. */
    async entry(scope: DatabaseScope, id: string): Promise<AuditRow> {
      const row = await store.entry(scope, id);
      if (!row) throw notFound('audit entry');
      return row;
    },

    publicKeys: () => store.publicKeys(),

    /** From now on a new key signs, and the one before never again. */
    rotateKey: () => sequencer.keys.rotate(),

    /** The newest signed head; null while nothing was ever logged. */
    head: async (scope: DatabaseScope): Promise<SignedTreeHead | null> =>
      (await store.latestHead(scope)) ?? null,

    /**
     * Proof that an entry is in the tree of `size` entries; without a size, of the newest signed head.
     * @throws AppError `not_found`; `conflict` when it has no place yet; `invalid` for a size that is not the log's.
     */
    async inclusion(scope: DatabaseScope, id: string, wanted: number | undefined) {
      const row = await store.entry(scope, id);
      if (!row) throw notFound('audit entry');
      const head = await store.latestHead(scope);
      if (row.leaf === null || !head || Number(row.leaf) >= head.size) {
        throw new AppError(
          'conflict',
          'This entry has no place in the tree yet. Ask again in a few seconds.',
        );
      }
      const leaf = Number(row.leaf);
      const size = wanted ?? head.size;
      await withinLog(scope, size, 'size');
      if (size <= leaf) {
        throw new AppError('invalid', `The entry is number ${leaf}: a tree of ${size} does not hold it.`, {
          errors: [{ path: 'size', message: `must be above ${leaf}` }],
        });
      }
      const proof = await hashesOf(scope, inclusionRanges(leaf, size));
      const [root] = await hashesOf(scope, [{ start: 0, end: size }]);
      return {
        leaf,
        size,
        entry: row.entry,
        leafHash: leafOf(row.entry),
        proof,
        root: root ?? leafOf(row.entry),
        head,
      };
    },

    /** Proof that the log of `first` entries is the beginning of that of `second`. @throws AppError `invalid`. */
    async consistency(scope: DatabaseScope, first: number, second: number) {
      await withinLog(scope, second, 'second');
      await withinLog(scope, first, 'first');
      if (first > second) {
        throw new AppError('invalid', '"first" must not be above "second".', {
          errors: [{ path: 'first', message: 'must not be above second' }],
        });
      }
      const roots = await hashesOf(scope, [
        { start: 0, end: first },
        { start: 0, end: second },
      ]);
      return { first, second, roots, proof: await hashesOf(scope, consistencyRanges(first, second)) };
    },

    /**
     * The whole log as lines that `gatehouse audit verify` checks without a server. Ends at the newest signed head; the
     * log may grow meanwhile, and an export that is cut off has no seal.
     * @throws AppError `conflict` when the key was rotated meanwhile: its header does not know the new one.
     */
    async *export(scope: DatabaseScope): AsyncGenerator<string> {
      await sequencer.keys.ensure();
      const head = await store.latestHead(scope);
      const size = head?.size ?? 0;
      const { firstLeaf } = await store.state(scope);
      const keys = await store.publicKeys();
      const pruned = await store.nodes(scope, subtreesOf({ start: 0, end: firstLeaf }));
      const writer = new ExportWriter();
      yield writer.header({
        tenantId: scope.tenantId,
        exportedAt: clock.now(),
        firstLeaf,
        pruned,
        keys,
      });
      for (let leaf = firstLeaf; leaf < size; ) {
        const { entries, heads } = await store.stretch(scope, leaf, size, exportBatch);
        if (entries.length === 0) throw new Error(`audit entry ${leaf} is missing`);
        const headsOf = Map.groupBy(heads, (signed) => signed.size);
        for (const { leaf: number, entry } of entries) {
          yield writer.entry(number, entry);
          for (const signed of headsOf.get(number + 1) ?? []) yield writer.head(signed);
        }
        leaf += entries.length;
      }
      yield await sequencer.keys.sign((key) => {
        if (!keys.some(({ id }) => id === key.id)) {
          throw new AppError(
            'conflict',
            'The key of the log was rotated during the export. Export it again.',
          );
        }
        return writer.seal(new Date(Math.max(clock.now().getTime(), key.createdAt.getTime())), key);
      });
    },

    /** Notes that somebody was refused: in their tenant's log, or the platform's, when nobody knows who they are. */
    noteRefusal: (refusal: {
      tenantId: string | null;
      request: string;
      code: string;
      detail: string;
      untold: number;
    }): Promise<void> =>
      store.note(refusal.tenantId === null ? platformLog : { tenantId: refusal.tenantId, readerTokens: [] }, {
        action: 'request.refused',
        targetType: 'request',
        targetId: refusal.request,
        outcome: 'denied',
        details: {
          code: refusal.code,
          detail: refusal.detail,
          ...(refusal.untold > 0 && { untold: refusal.untold }),
        },
      }),

    /** Notes what no change of data tells: a sign-in, a denial, an export. In a transaction of its own. */
    note: (scope: DatabaseScope, entry: NotedEntry): Promise<void> => store.note(scope, entry),
  };
}

function missing(level: number, index: number): never {
  throw new Error(`the subtree ${level}/${index} was not read`);
}
