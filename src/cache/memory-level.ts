import { type Entry, entryBytes } from './entry.ts';
import type { Removal } from './shared-level.ts';

/** Entries in this process, the ones used last, as many as fit into so many bytes. */
export interface MemoryLevel {
  /** The entry, which may be past its time but not past what `put` said. */
  get(tenantId: string, key: string, nowMs: number): Entry | null;
  /** A moment to give to `put`: what was removed since then is not put back. */
  mark(): number;
  /** Whether the entry, one of its tags or its tenant's were removed since the mark. */
  isRemoved(tenantId: string, entry: Pick<Entry, 'key' | 'tags'>, mark: number): boolean;
  /**
   * @param heldUntilMs when the entry is forgotten, milliseconds since 1970.
   * @returns `removed` when the entry, one of its tags or its tenant's were removed since the mark, so that it is not kept.
   */
  put(tenantId: string, entry: Entry, mark: number, heldUntilMs: number): 'kept' | 'removed' | 'too_large';
  /** @returns how many entries went. */
  removeKey(tenantId: string, key: string): number;
  removeTag(tenantId: string, tag: string): number;
  removeTenant(tenantId: string): number;
  removeAll(): void;
  usage(tenantId?: string): { readonly entries: number; readonly bytes: number };
  readonly evictions: number;
}

/** What hears of removals elsewhere. */
export type Forgetful = Pick<MemoryLevel, 'removeKey' | 'removeTag' | 'removeTenant' | 'removeAll'>;

/** @returns how many entries went. */
export function forget(memory: Forgetful, removal: Removal): number {
  switch (removal.what) {
    case 'key':
      return memory.removeKey(removal.tenantId, removal.name);
    case 'tag':
      return memory.removeTag(removal.tenantId, removal.name);
    case 'tenant':
      return memory.removeTenant(removal.tenantId);
  }
}

interface Held {
  readonly tenantId: string;
  readonly entry: Entry;
  readonly bytes: number;
  readonly untilMs: number;
}

/** Removals remembered for `put`. An answer that took so long to make that more came in between is not kept. */
const maxRemovals = 4_096;

export function createMemoryLevel(maxBytes: number): MemoryLevel {
  // In the order of their last use: a Map keeps the order of insertion.
  const held = new Map<string, Held>();
  const ofTag = new Map<string, Set<string>>();
  const ofTenant = new Map<string, Set<string>>();
  const removals = new Map<string, number>();
  let moment = 0;
  let forgottenUntil = 0;
  let bytes = 0;
  let evictions = 0;

  const noteRemoval = (what: string) => {
    moment++;
    removals.delete(what);
    removals.set(what, moment);
    if (removals.size <= maxRemovals) return;
    const oldest = removals.entries().next();
    if (oldest.done) return;
    removals.delete(oldest.value[0]);
    forgottenUntil = oldest.value[1];
  };
  const removedSince = (what: string, mark: number) => (removals.get(what) ?? 0) > mark;

  const isRemoved: MemoryLevel['isRemoved'] = (tenantId, { key, tags }, mark) =>
    mark < forgottenUntil ||
    removedSince(tenantId, mark) ||
    [key, ...tags].some((what) => removedSince(idOf(tenantId, what), mark));

  const drop = (id: string): boolean => {
    const gone = held.get(id);
    if (!gone) return false;
    held.delete(id);
    bytes -= gone.bytes;
    leave(ofTenant, gone.tenantId, id);
    for (const tag of gone.entry.tags) leave(ofTag, idOf(gone.tenantId, tag), id);
    return true;
  };
  const dropAll = (ids: Iterable<string> | undefined): number => {
    let count = 0;
    for (const id of [...(ids ?? [])]) if (drop(id)) count++;
    return count;
  };

  return {
    get(tenantId, key, nowMs) {
      const id = idOf(tenantId, key);
      const found = held.get(id);
      if (!found) return null;
      if (nowMs >= found.untilMs) {
        drop(id);
        return null;
      }
      held.delete(id);
      held.set(id, found);
      return found.entry;
    },
    mark: () => moment,
    isRemoved,
    put(tenantId, entry, mark, untilMs) {
      const { key, tags } = entry;
      const size = entryBytes(entry);
      if (isRemoved(tenantId, entry, mark)) return 'removed';
      if (size > maxBytes) return 'too_large';
      const id = idOf(tenantId, key);
      drop(id);
      held.set(id, { tenantId, entry, bytes: size, untilMs });
      bytes += size;
      join(ofTenant, tenantId, id);
      for (const tag of tags) join(ofTag, idOf(tenantId, tag), id);
      for (const oldest of held.keys()) {
        if (bytes <= maxBytes) break;
        drop(oldest);
        evictions++;
      }
      return 'kept';
    },
    removeKey(tenantId, key) {
      noteRemoval(idOf(tenantId, key));
      return drop(idOf(tenantId, key)) ? 1 : 0;
    },
    removeTag(tenantId, tag) {
      noteRemoval(idOf(tenantId, tag));
      return dropAll(ofTag.get(idOf(tenantId, tag)));
    },
    removeTenant(tenantId) {
      noteRemoval(tenantId);
      return dropAll(ofTenant.get(tenantId));
    },
    removeAll() {
      moment++;
      forgottenUntil = moment;
      removals.clear();
      dropAll(held.keys());
    },
    usage(tenantId) {
      if (tenantId === undefined) return { entries: held.size, bytes };
      const ids = [...(ofTenant.get(tenantId) ?? [])];
      return { entries: ids.length, bytes: ids.reduce((sum, id) => sum + (held.get(id)?.bytes ?? 0), 0) };
    },
    get evictions() {
      return evictions;
    },
  };
}

/** Neither tenants' ids nor keys nor tags hold a blank, so no two pairs make the same text. */
function idOf(tenantId: string, what: string): string {
  return `${tenantId} ${what}`;
}

function join(index: Map<string, Set<string>>, name: string, id: string): void {
  const ids = index.get(name);
  if (ids) ids.add(id);
  else index.set(name, new Set([id]));
}

function leave(index: Map<string, Set<string>>, name: string, id: string): void {
  const ids = index.get(name);
  ids?.delete(id);
  if (ids?.size === 0) index.delete(name);
}
