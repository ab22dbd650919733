/**
 * Where files are. Without a store that all instances share, a file is in the data directory of the instance that received
 * it, and its key says which.
 */
export interface BlobPlaces {
  /** The key of a new file of a tenant. */
  newKey(tenantId: string, id: string): string;
  /** The place that has the file; null: every instance reaches it. */
  placeOf(key: string): string | null;
  /** Whether this instance can read and remove it. */
  isHere(key: string): boolean;
  /** LIKE patterns of keys: of all places that have a name, and of this one. Absent where there is but one. */
  readonly patterns?: { readonly named: string; readonly own: string };
}

const named = /^documents\/at-([0-9a-f-]{36})\//;
/** As the object store knows them, too. */
const shared = /^documents\/shared\//;

/** With one instance. */
export const onePlace: BlobPlaces = {
  newKey: (tenantId, id) => `documents/${tenantId}/${id}`,
  placeOf: () => null,
  isHere: () => true,
};

/**
 * @param own this instance's place.
 * @param isShared whether new files go to a store that all instances share.
 * @param firstPlace whose files bear no name of a place, because there was no other then; null while it is not known.
 */
export function createBlobPlaces(
  own: string,
  isShared: boolean,
  firstPlace: () => string | null,
): BlobPlaces {
  const placeOf = (key: string) => (shared.test(key) ? null : (named.exec(key)?.[1] ?? firstPlace()));
  return {
    newKey: (tenantId, id) => `documents/${isShared ? 'shared' : `at-${own}`}/${tenantId}/${id}`,
    placeOf,
    isHere: (key) => (placeOf(key) ?? own) === own,
    patterns: { named: 'documents/at-%', own: `documents/at-${own}/%` },
  };
}
