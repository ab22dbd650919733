import type { Clock } from '../platform/clock.ts';
import type { JobDefinition, StepRetries } from '../platform/jobs/index.ts';
import type { Log } from '../platform/log.ts';
import type { Objects } from '../platform/objects.ts';
import type { BlobPlaces } from './blob-places.ts';
import type { DeletionStore } from './deletion.store.ts';
import type { DeletionReceiptRow, PlaceResult } from './knowledge-tables.ts';
import type { LooseBlobsStore } from './loose-blobs.store.ts';
import type { Settlements } from './settlements.ts';

/** A place outside the database's own tables that may hold something of a document: the index, a cache. */
export interface DerivedPlace {
  /** As the receipt names it. */
  readonly name: string;
  /** Removes whatever it holds of the document. Removing what is not there is not an error. @returns how much, if it counts. */
  forget(tenantId: string, documentId: string): Promise<number | null>;
  /** Looks for it anew, not in what `forget` remembers. @returns how much it found. */
  count(tenantId: string, documentId: string): Promise<number>;
}

export interface DeletionDependencies {
  readonly store: DeletionStore;
  readonly blobs: LooseBlobsStore;
  readonly objects: Objects;
  readonly blobPlaces: BlobPlaces;
  readonly derivedPlaces: readonly DerivedPlace[];
  readonly settlements: Settlements;
  readonly retries: StepRetries;
  readonly clock: Clock;
  readonly log: Log;
}

export type DeletionInput = { receiptId: string };

/** How long files at other instances are waited for; then the deletion is tried again later. */
const elsewhereMs = 4_000;
const lookEveryMs = 200;

export function deletionJobId(receiptId: string): string {
  return `delete:${receiptId}`;
}

/**
 * The durable job behind a deletion. The rows went in the transaction that wrote the receipt; this removes what is
 * elsewhere, then looks in every place, the database included. The receipt is complete when every look found nothing; a
 * place that could not be asked leaves it open, and the reconciler tries again.
 */
export function createDeletion(deps: DeletionDependencies): JobDefinition<DeletionInput> {
  const { store, blobs, objects, blobPlaces, clock, log, settlements } = deps;

  const removeFiles = async (documentId: string): Promise<number> => {
    const keys = await blobs.ofDocument(documentId);
    for (const key of keys.filter(blobPlaces.isHere)) {
      await objects.remove(key);
      await blobs.forgetAsPlatform(key);
    }
    if (!keys.every(blobPlaces.isHere)) await removedElsewhere(documentId);
    return keys.length;
  };

  /** The instances that have the others clear them away within seconds, if they live. */
  const removedElsewhere = async (documentId: string): Promise<void> => {
    const until = clock.monotonicMs() + elsewhereMs;
    while ((await blobs.ofDocument(documentId)).length > 0 && clock.monotonicMs() < until) {
      await clock.sleep(lookEveryMs);
    }
  };

  const countFiles = async (receipt: DeletionReceiptRow): Promise<number> => {
    const left = await blobs.ofDocument(receipt.document_id);
    const isThere = blobPlaces.isHere(receipt.blob_key) && (await objects.exists(receipt.blob_key));
    return left.length + (isThere ? 1 : 0);
  };

  const removeAndLook = async (receiptId: string): Promise<'complete' | 'absent'> => {
    const receipt = await store.receipt(receiptId);
    if (!receipt) return 'absent';
    if (receipt.completed_at) return 'complete';
    const { tenant_id: tenantId, document_id: documentId } = receipt;
    // What an earlier try removed still counts: this one found it gone.
    const removed = new Map(receipt.places.map((place) => [place.place, place.removed]));
    const note = (place: string, count: number | null) =>
      removed.set(place, count === null ? null : count + (removed.get(place) ?? 0));

    note('file', await removeFiles(documentId));
    for (const place of deps.derivedPlaces) note(place.name, await place.forget(tenantId, documentId));

    const found = new Map<string, number>(Object.entries(await store.countRows(documentId)));
    found.set('file', await countFiles(receipt));
    for (const place of deps.derivedPlaces) found.set(place.name, await place.count(tenantId, documentId));

    const places: PlaceResult[] = [...found].map(([place, count]) => ({
      place,
      removed: removed.get(place) ?? null,
      found: count,
    }));
    const left = places.filter((place) => place.found !== 0);
    await store.recordPlaces(receiptId, places, left.length === 0 ? clock.now() : null);
    if (left.length > 0) {
      const names = left.map((place) => `${place.place} (${place.found})`).join(', ');
      log.error(
        { document: documentId, tenant: tenantId, places: left },
        'a deleted document was still found',
      );
      throw new Error(`still found in ${names}`);
    }
    settlements.settled(receiptId);
    return 'complete';
  };

  return {
    name: 'delete',
    // Mostly waiting for the index, which takes many in one batch.
    concurrency: 32,
    concurrencyPerPartition: 24,
    maxRecoveries: 1_000,
    async run({ receiptId }, step) {
      await step('remove and look', () => removeAndLook(receiptId), deps.retries);
    },
  };
}
