import type { Clock } from '../platform/clock.ts';
import type { Log } from '../platform/log.ts';
import type { Secrets } from '../platform/secret-box.ts';
import { leafOf } from './export-lines.ts';
import { addLeaf, type Hash, hashOfRange, type Subtree } from './merkle-tree.ts';
import type { LooseEntry, SequencerStore } from './sequencer.store.ts';
import { createSigningKeys, type SigningKey } from './signing-keys.ts';
import { signHead } from './tree-head.ts';

export interface SequencerDependencies {
  readonly store: SequencerStore;
  readonly secretBox: Secrets;
  readonly clock: Clock;
  readonly log: Log;
  /** Days that entries are kept, at least 1. */
  readonly retentionDays: number;
}

export type Sequencer = ReturnType<typeof createSequencer>;

/** Far below the 60 s within which a change of the log must be signed for. */
const everyMs = 1_000;
const batch = 2_000;
const pruneEveryMs = 3_600_000;
const pruneBatch = 5_000;
const dayMs = 86_400_000;

/**
 * Gives each entry its leaf in its tenant's tree, in the order of transactions, and signs the head that it grew to. One
 * instance at a time does it for all; an entry is in the tree about a second after its transaction, and later only while
 * an older transaction still runs.
 */
export function createSequencer(deps: SequencerDependencies) {
  const { store, clock, log } = deps;
  const stopping = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const keys = createSigningKeys({ store, secretBox: deps.secretBox, clock });
  let prunedAtMs = Number.NEGATIVE_INFINITY;

  /** Not before what was signed before it: the clocks of instances differ a little. */
  const signingTime = (signing: SigningKey, signedAt: Date | null): Date =>
    new Date(Math.max(clock.now().getTime(), signing.createdAt.getTime(), signedAt?.getTime() ?? 0));

  /** One batch. @returns how many entries got their place; null when another instance is at it. */
  const sequence = (): Promise<number | null> =>
    keys.withCurrent((signing) =>
      batchSignedBy(signing).then((done) => (done === 'retired' ? null : { done })),
    );

  const batchSignedBy = (signing: SigningKey): Promise<number | 'retired' | null> =>
    store.alone(async (tx) => {
      if ((await store.signingKeyId(tx)) !== signing.id) return 'retired';
      const entries = await store.take(tx, batch);
      for (const [tenantId, own] of Map.groupBy(entries, (entry) => entry.tenantId)) {
        const { size, nodes, signedAt } = await store.treeOf(tx, tenantId);
        const grown = grow(size, nodes, own);
        await store.grow(tx, { tenantId, size, ...grown });
        const at = signingTime(signing, signedAt);
        await store.addHead(
          tx,
          signHead({ tenantId, size: size + own.length, root: grown.root, at }, signing),
        );
      }
      return entries.length;
    });

  const prune = async (): Promise<void> => {
    const until = new Date(clock.now().getTime() - deps.retentionDays * dayMs);
    for (const tenantId of await store.tenantsWithEntriesBefore(until)) {
      let removed: number | null = pruneBatch;
      while (removed === pruneBatch && !stopping.signal.aborted) {
        removed = await store.alone((tx) => store.prune(tx, tenantId, until, pruneBatch));
      }
    }
  };

  const loop = async (): Promise<void> => {
    await renumber();
    while (!stopping.signal.aborted) {
      try {
        while ((await sequence()) === batch && !stopping.signal.aborted);
        if (clock.monotonicMs() - prunedAtMs >= pruneEveryMs) {
          prunedAtMs = clock.monotonicMs();
          await prune();
        }
      } catch (error) {
        log.error({ err: error }, 'audit entries wait for their place in the tree');
      }
      await clock.sleep(everyMs, stopping.signal).catch(() => {});
    }
  };

  const renumber = async (): Promise<void> => {
    try {
      if (await store.renumberAfterRestore())
        log.warn(
          {},
          'audit entries were numbered anew: this database was restored from a dump of another server',
        );
    } catch (error) {
      log.error({ err: error }, 'whether the audit log was restored from another server could not be told');
    }
  };

  return {
    renumber,
    start(): void {
      running = loop();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await running;
    },
    sequence,
    prune,
    keys,
  };
}

/** What a tree of `size` leaves becomes with these entries behind them. */
function grow(
  size: number,
  nodes: readonly (Subtree & { readonly hash: Hash })[],
  entries: readonly LooseEntry[],
) {
  const known = new Map(nodes.map(({ level, index, hash }) => [`${level}/${index}`, hash]));
  const hashOf = ({ level, index }: Subtree): Hash => {
    const hash = known.get(`${level}/${index}`);
    if (!hash) throw new Error(`the subtree ${level}/${index} is not known`);
    return hash;
  };
  const added = entries.flatMap(({ entry }, n) => {
    const subtrees = addLeaf(size + n, leafOf(entry), hashOf);
    for (const { level, index, hash } of subtrees) known.set(`${level}/${index}`, hash);
    return subtrees;
  });
  return {
    leaves: entries.map(({ id }, n) => ({ leaf: size + n, entryId: id })),
    nodes: added,
    root: hashOfRange({ start: 0, end: size + entries.length }, hashOf),
  };
}
