import type { Metadata } from '../knowledge-tables.ts';

/** What stands in place of a value that the caller may not read. */
export const maskedValue = '[masked]';

/** Metadata as who may not read `masked` is shown it. */
export function shownMetadata(metadata: Metadata, masked: readonly string[]): Metadata {
  if (!masked.some((field) => Object.hasOwn(metadata, field))) return metadata;
  return Object.fromEntries(
    Object.entries(metadata).map(([field, value]) => [field, masked.includes(field) ? maskedValue : value]),
  );
}

/** What is stored when a caller who may not read `masked` sends `wanted`: of those members, what was there stays. */
export function keptMetadata(current: Metadata, wanted: Metadata, masked: readonly string[]): Metadata {
  if (masked.length === 0) return wanted;
  const isMasked = (field: string) => masked.includes(field);
  return Object.fromEntries([
    ...Object.entries(wanted).filter(([field]) => !isMasked(field)),
    ...Object.entries(current).filter(([field]) => isMasked(field)),
  ]);
}
