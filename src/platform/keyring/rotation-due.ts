import type { DataKeyCounts, KekUse } from './keyring.store.ts';

/** When the oldest key in use comes of age; null while there is none. */
export function rotationDue(
  counts: Pick<DataKeyCounts, 'oldestCurrentAt'>,
  keks: readonly KekUse[],
  currentKekId: string | null,
  afterMs: number,
): Date | null {
  const since = [
    counts.oldestCurrentAt,
    ...keks.filter(({ kekId }) => kekId === currentKekId).map(({ oldestWrappedAt }) => oldestWrappedAt),
  ].flatMap((at) => (at === null ? [] : [at.getTime()]));
  return since.length === 0 ? null : new Date(Math.min(...since) + afterMs);
}
