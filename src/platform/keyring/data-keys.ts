import type { Clock } from '../clock.ts';
import type { NewId } from '../ids.ts';
import type { Random } from '../random.ts';
import { KeyEncryptionError, type WrappedKey } from './key-encryption.ts';
import type { KeyEngines } from './key-engines.ts';
import type { DataKeyRow, KeyringStore } from './keyring.store.ts';

/** A data key in memory. */
export interface OpenDataKey {
  readonly id: string;
  readonly tenantId: string | null;
  readonly kekId: string;
  /**
   * 32 bytes, for use before the next await. @throws KeyEncryptionError once it was forgotten: its bytes are zeros then,
   * and must seal nothing.
   */
  bytes(): Buffer;
}

/** An open data key and the means to close it. */
interface HeldKey extends OpenDataKey {
  kekId: string;
  close(): void;
}

export interface DataKeysDependencies {
  readonly store: KeyringStore;
  readonly engines: KeyEngines;
  readonly clock: Pick<Clock, 'now' | 'monotonicMs'>;
  readonly newId: NewId;
  readonly random: Pick<Random, 'bytes'>;
  /** How long an unwrapped key is used while its engine cannot be reached to ask again. */
  readonly outageMs: number;
  /** Unwrapped keys kept at most; absent: 10,000. */
  readonly most?: number;
}

export type DataKeys = ReturnType<typeof createDataKeys>;

/** After an engine said no, or nothing, so long nobody asks it for that key again. */
const quietMs = 2_000;
const defaultMost = 10_000;
const mostTroubles = 10_000;

/** Data keys by id, unwrapped when first needed and kept in memory for as long as their key-encryption key is granted. */
export function createDataKeys(deps: DataKeysDependencies) {
  const { store, clock, engines } = deps;
  const most = deps.most ?? defaultMost;
  const open = new Map<string, HeldKey>();
  const opening = new Map<string, Promise<OpenDataKey>>();
  /** When each key-encryption key last unwrapped something. */
  const grantedAtMs = new Map<string, number>();
  const troubles = new Map<string, { readonly error: KeyEncryptionError; readonly untilMs: number }>();
  /** Keys that did not open when they were last asked for, so that their return can be told. */
  const lost = new Set<string>();

  const unwrap = async (row: DataKeyRow): Promise<Buffer> => {
    const { kek_id: kekId } = row;
    for (const about of [kekId, row.id]) {
      const trouble = troubles.get(about);
      if (trouble && trouble.untilMs > clock.monotonicMs()) throw trouble.error;
      troubles.delete(about);
    }
    try {
      const engine = await engines.unwrapping(kekId, row.tenant_id);
      const key = await engine.unwrap({ wrapped: row.wrapped, kekId }, contextOf(row));
      grantedAtMs.set(kekId, clock.monotonicMs());
      return key;
    } catch (error) {
      if (error instanceof KeyEncryptionError) {
        // One data key that was tampered with says nothing of others under the same key.
        const about = error.trouble === 'unreachable' ? kekId : row.id;
        if (troubles.size >= mostTroubles) troubles.clear();
        troubles.set(about, { error, untilMs: clock.monotonicMs() + quietMs });
        lost.add(kekId);
      }
      throw error;
    }
  };

  const forget = (known: HeldKey) => {
    open.delete(known.id);
    known.close();
  };

  const keep = (row: DataKeyRow, key: Buffer): OpenDataKey => {
    const kept = held(row, key);
    open.set(row.id, kept);
    if (open.size > most) {
      const oldest = open.values().next();
      if (!oldest.done) forget(oldest.value);
    }
    return kept;
  };

  const openRow = (row: DataKeyRow): Promise<OpenDataKey> => {
    const known = open.get(row.id);
    if (known) return Promise.resolve(known);
    const already = opening.get(row.id);
    if (already) return already;
    const begun = unwrap(row)
      .then((key) => keep(row, key))
      .finally(() => opening.delete(row.id));
    opening.set(row.id, begun);
    return begun;
  };

  const wrapperOf = async (tenantId: string | null) =>
    engines.wrapping(tenantId === null ? null : ((await store.customerKey(tenantId))?.kek ?? null));

  const wrapped = async (row: Pick<DataKeyRow, 'id' | 'tenant_id'>): Promise<WrappedKey> => {
    const engine = await wrapperOf(row.tenant_id);
    const key = deps.random.bytes(32);
    try {
      return await engine.wrap(key, contextOf(row));
    } finally {
      key.fill(0);
    }
  };

  const newRow = async (tenantId: string | null) => {
    const made = { id: deps.newId(), tenant_id: tenantId, created_at: clock.now() };
    const { wrapped: text, kekId } = await wrapped(made);
    return { ...made, wrapped: text, kek_id: kekId };
  };

  return {
    /** The one that seals for the tenant now, made if need be. @throws KeyEncryptionError */
    async current(tenantId: string | null): Promise<OpenDataKey> {
      let row = await store.currentDataKey(tenantId);
      if (!row) {
        await store.addDataKey(await newRow(tenantId));
        row = await store.currentDataKey(tenantId);
      }
      if (!row) throw new Error('the data key that was just made is gone');
      return openRow(row);
    },

    /** @returns null when there is no such data key. @throws KeyEncryptionError */
    async byId(id: string): Promise<OpenDataKey | null> {
      const known = open.get(id);
      if (known) return known;
      const row = await store.dataKey(id);
      return row && openRow(row);
    },

    /** Another one seals for that tenant from now on. @returns whether this call did it. */
    supersede: async (row: DataKeyRow): Promise<boolean> =>
      store.supersede(row.id, await newRow(row.tenant_id)),

    /** Wraps a data key by the key that wraps for its tenant now. @throws KeyEncryptionError */
    async rewrap(row: DataKeyRow): Promise<void> {
      const before = { wrapped: row.wrapped, kekId: row.kek_id };
      const [from, to] = [
        await engines.unwrapping(row.kek_id, row.tenant_id),
        await wrapperOf(row.tenant_id),
      ];
      let next: WrappedKey;
      if (from === to) next = await to.rewrap(before, contextOf(row));
      else {
        const key = await from.unwrap(before, contextOf(row));
        try {
          next = await to.wrap(key, contextOf(row));
        } finally {
          key.fill(0);
        }
      }
      await store.replaceWrapped(row, next, clock.now());
    },

    /**
     * Asks every key-encryption key in use whether it still opens, and forgets what it may no longer open: a revoked key
     * leaves nothing behind in memory.
     * @returns whether anything came to be closed that was open, or can be opened again that could not.
     */
    async ask(): Promise<boolean> {
      const asked = [...open.values()];
      const rows = await store.stillThere(asked.map(({ id }) => id));
      const stored = new Map(rows.map((row) => [row.id, row]));
      let changed = false;
      for (const known of asked) {
        const row = stored.get(known.id);
        if (!row) {
          forget(known);
          changed = true;
        } else known.kekId = row.kek_id;
      }
      const samples = new Map(rows.map((row) => [row.kek_id, row]));
      if (lost.size > 0) for (const row of await store.oneOfEachKek()) samples.set(row.kek_id, row);
      for (const kekId of lost) if (!samples.has(kekId)) lost.delete(kekId);
      for (const [kekId, row] of samples) {
        const wasLost = lost.has(kekId);
        try {
          troubles.delete(kekId);
          troubles.delete(row.id);
          (await unwrap(row)).fill(0);
          lost.delete(kekId);
          if (wasLost) changed = true;
        } catch (error) {
          if (!(error instanceof KeyEncryptionError)) throw error;
          const grantedMs = clock.monotonicMs() - (grantedAtMs.get(kekId) ?? Number.NEGATIVE_INFINITY);
          if (error.trouble === 'unreachable' && grantedMs < deps.outageMs) continue;
          for (const known of [...open.values()]) {
            if (known.kekId !== kekId) continue;
            forget(known);
            changed = true;
          }
        }
      }
      return changed;
    },

    /** How many are in memory. */
    size: () => open.size,
    forgetAll() {
      for (const known of [...open.values()]) forget(known);
    },
  };
}

function held(row: DataKeyRow, key: Buffer): HeldKey {
  let isOpen = true;
  return {
    id: row.id,
    tenantId: row.tenant_id,
    kekId: row.kek_id,
    bytes() {
      if (isOpen) return key;
      throw new KeyEncryptionError('unreachable', this.kekId, 'A data key was closed just now. Try again.');
    },
    close() {
      isOpen = false;
      key.fill(0);
    },
  };
}

/** What a wrapped data key is bound to, so that one moved to another row or tenant does not unwrap. */
export function contextOf(row: Pick<DataKeyRow, 'id' | 'tenant_id'>): string {
  return `data key:${row.id}:${row.tenant_id ?? 'platform'}`;
}
