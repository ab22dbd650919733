import type { Clock } from '../clock.ts';
import type { Log } from '../log.ts';
import type { Secrets } from '../secret-box.ts';
import type { DataKeys } from './data-keys.ts';
import type { Holders } from './holders.ts';
import type { KeyEncryption } from './key-encryption.ts';
import type { DataKeyRow, KeyringStore } from './keyring.store.ts';
import { fingerprintOf } from './local-keys.ts';
import type { MasterKeys } from './master-keys.ts';
import { type Resealed, reseal } from './resealing.ts';
import { rotationDue } from './rotation-due.ts';
import type { SealedColumn } from './sealed-columns.ts';
import { dataKeyIdOf } from './sealed-value.ts';

export interface UpkeepDependencies {
  readonly store: KeyringStore;
  readonly engines: readonly [KeyEncryption, ...KeyEncryption[]];
  readonly masterKeys: MasterKeys;
  readonly columns: readonly SealedColumn[];
  readonly dataKeys: DataKeys;
  readonly holders: Holders;
  readonly secrets: Secrets;
  readonly isEldest: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly rotateAfterMs: number;
  /** Told when stored secrets may open that did not, or the other way round. */
  readonly changed: () => void;
}

/** Far below the 60 s within which a revoked key must have closed what it opened. */
const askEveryMs = 20_000;
const sayEveryMs = 2_000;
const roundEveryMs = 60_000;
const dueEveryMs = 3_600_000;
const batch = 100;
/** A seal that began before its data key was superseded is stored by then. */
const settledAfterMs = 60_000;

/** What goes on by itself: saying which keys are here, asking for those in use, and finishing rotations. */
export function createUpkeep(deps: UpkeepDependencies) {
  const { store, clock, log, dataKeys, holders } = deps;
  const [engine] = deps.engines;
  const stopping = new AbortController();
  let awake = new AbortController();
  let running: Promise<void> = Promise.resolve();
  let rounds: Promise<void> = Promise.resolve();
  let isHurried = false;
  let rotate: (what: { dataKeys: boolean; keyEncryptionKey: boolean }) => Promise<void> = async () => {};

  /** By the current key-encryption key, once every instance has it. */
  const rewrapAll = async (): Promise<void> => {
    const kekId = await engine.currentKeyId();
    let after: string | null = null;
    for (;;) {
      const rows: DataKeyRow[] = await store.wrappedByOthers(kekId, after, batch);
      const last = rows.at(-1);
      if (!last || stopping.signal.aborted) return;
      const isOperators = rows.some(({ customer_kek }) => customer_kek === null);
      if (isOperators && !(await holders.doAllHave(kekId))) {
        log.warn({ kek: kekId }, 'data keys are not re-wrapped yet: not every instance has the new key');
        return;
      }
      for (const row of rows) {
        await dataKeys.rewrap(row).catch((error) => {
          log.error({ err: error, data_key: row.id, kek: row.kek_id }, 'a data key could not be re-wrapped');
        });
      }
      after = last.id;
    }
  };

  const retireUnused = async (before: Date, { neededKeys }: Resealed): Promise<void> => {
    const ids = await store.supersededBefore(before);
    const unused = ids.filter((id) => !neededKeys.has(id));
    if (unused.length > 0) await store.retire(unused, clock.now());
  };

  /** The master key that must be there is the current one, once nothing needs the one before. */
  const moveFingerprint = async ({ failed }: Resealed): Promise<void> => {
    const [masterKey] = deps.masterKeys.keys();
    const recorded = await store.fingerprint();
    if (!masterKey || recorded === fingerprintOf(masterKey) || failed > 0) return;
    const uses = await store.kekUses();
    if (!uses.some(({ kekId }) => kekId === `local:${recorded}`)) {
      await store.putFingerprint(fingerprintOf(masterKey), clock.now());
    }
  };

  const work = async (): Promise<void> => {
    if (!holders.envelopeBegan()) return;
    const began = new Date(clock.now().getTime() - settledAfterMs);
    await rewrapAll();
    const done = await reseal(deps.columns, deps.secrets, {
      log,
      signal: stopping.signal,
      keyOf: dataKeyIdOf,
    });
    if (stopping.signal.aborted) return;
    if (done.resealed > 0)
      log.info({ resealed: done.resealed, failed: done.failed }, 'stored secrets were sealed anew');
    await retireUnused(began, done);
    await moveFingerprint(done);
  };

  const round = (): Promise<void> => {
    const next = rounds.catch(() => {}).then(work);
    rounds = next;
    return next;
  };

  const supersedeAll = async (madeBefore: Date): Promise<void> => {
    let after: string | null = null;
    for (;;) {
      const rows: DataKeyRow[] = await store.currentMadeBefore(madeBefore, after, batch);
      for (const row of rows) await dataKeys.supersede(row);
      const last = rows.at(-1);
      if (!last || rows.length < batch) return;
      after = last.id;
    }
  };

  /** Keys that came of age. */
  const rotateDue = async (): Promise<void> => {
    const kekId = await engine.currentKeyId();
    const due = rotationDue(await store.counts(), await store.kekUses(), kekId, deps.rotateAfterMs);
    if (due === null || due > clock.now()) return;
    const overdue = new Date(clock.now().getTime() - deps.rotateAfterMs);
    await supersedeAll(overdue);
    const isKekOld = (await store.kekUses()).some(
      (use) => use.kekId === kekId && use.oldestWrappedAt <= overdue,
    );
    if (isKekOld) await rotate({ dataKeys: false, keyEncryptionKey: true });
  };

  const ask = async (): Promise<void> => {
    if (await dataKeys.ask()) deps.changed();
  };

  /** One thing that is done every so often; one that fails is said and tried again. */
  const every = (ms: number, what: string, task: () => Promise<void>) => {
    let doneAtMs = Number.NEGATIVE_INFINITY;
    return async (now: boolean) => {
      if (!now && clock.monotonicMs() - doneAtMs < ms) return;
      doneAtMs = clock.monotonicMs();
      await task().catch((error) => {
        if (!stopping.signal.aborted) log.warn({ err: error }, what);
      });
    };
  };
  const say = every(sayEveryMs, 'the keys of this instance could not be told', async () => {
    await holders.say();
    await holders.look();
  });
  const asking = every(askEveryMs, 'keys in use could not be asked for', ask);
  const working = every(roundEveryMs, 'keys could not be looked after', round);
  const due = every(dueEveryMs, 'keys that came of age were not rotated', rotateDue);

  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const hurried = isHurried;
      isHurried = false;
      await say(false);
      await asking(false);
      if (hurried || deps.isEldest()) await working(hurried);
      if (deps.isEldest() && holders.envelopeBegan()) await due(false);
      if (isHurried) continue;
      awake = new AbortController();
      const signal = AbortSignal.any([awake.signal, stopping.signal]);
      await clock.sleep(sayEveryMs, signal).catch(() => {});
    }
  };

  return {
    start(): void {
      running = loop();
    },
    async stop(): Promise<void> {
      stopping.abort();
      await running;
      await rounds.catch(() => {});
    },
    /** Begins a round at once instead of within a minute. */
    hurry(): void {
      isHurried = true;
      awake.abort();
    },
    round,
    ask,
    supersedeAll,
    rotateBy(given: typeof rotate): void {
      rotate = given;
    },
  };
}
