import { createHash, type Hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { Clock } from '../platform/clock.ts';
import type { DatabaseScope } from '../platform/database/database.ts';
import { AppError } from '../platform/errors.ts';
import type { NewId } from '../platform/ids.ts';
import type { Log } from '../platform/log.ts';
import type { Objects } from '../platform/objects.ts';
import type { BlobPlaces } from './blob-places.ts';
import type { LooseBlobsStore } from './loose-blobs.store.ts';
import { cleanText } from './parsing/clean-text.ts';
import type { Content } from './revision.ts';
import { cleanFileName } from './title.ts';

/** A file that was received and synced, which no document holds yet. */
export interface ReceivedFile extends Content {
  /** The first characters, for a title, when the sender gave text rather than a file. */
  readonly beginning: string;
}

export type ReceivedFiles = ReturnType<typeof createReceivedFiles>;

/** What the parser then makes of a file has limits of its own. */
const defaultMaxFileBytes = 256 * 1024 * 1024;
/** Longer than the slowest upload that the server lets through. */
const uploadLeaseMs = 60 * 60_000;
const beginningLength = 10_000;

/**
 * Files on their way from a caller to a document. Whoever receives one hands it to a document or drops it; what a crash
 * leaves over is cleared away after an hour.
 */
export function createReceivedFiles(deps: {
  readonly store: LooseBlobsStore;
  readonly objects: Objects;
  readonly blobPlaces: BlobPlaces;
  /** Bytes of one file; 256 MiB when not given. */
  readonly maxFileBytes?: number | undefined;
  readonly clock: Pick<Clock, 'now'>;
  readonly newId: NewId;
  readonly log: Log;
}) {
  const { store, objects, blobPlaces, clock, newId, log, maxFileBytes = defaultMaxFileBytes } = deps;

  const drop = async (scope: DatabaseScope, blobKey: string): Promise<void> => {
    // The instance that has it clears it away.
    if (!blobPlaces.isHere(blobKey)) return;
    try {
      await objects.remove(blobKey);
      await store.forget(scope, blobKey);
    } catch (error) {
      log.warn({ err: error }, 'a file was not cleared away; the reconciler will');
    }
  };

  const receive = async (
    scope: DatabaseScope,
    stream: Readable,
    sent: { readonly fileName: string | undefined; readonly contentType: string | undefined },
  ): Promise<ReceivedFile> => {
    const blobKey = blobPlaces.newKey(scope.tenantId, newId());
    const hash = createHash('sha256');
    await store.declare(scope, blobKey, new Date(clock.now().getTime() + uploadLeaseMs));
    try {
      const checked = Readable.from(measured(stream, maxFileBytes, hash), { objectMode: false });
      const bytes = await objects.put(blobKey, checked);
      return {
        blobKey,
        bytes,
        hash: hash.digest(),
        fileName: cleanFileName(sent.fileName),
        declaredType: declaredType(sent.contentType),
        beginning: '',
      };
    } catch (error) {
      await drop(scope, blobKey);
      throw error;
    }
  };

  return {
    maxFileBytes,

    /**
     * Streams a file into the object store; it is synced there when this resolves.
     * @throws AppError `too_large` beyond the limit, with nothing left behind.
     */
    receive,

    /** Takes in text that came in a JSON body, in the form in which it will be stored. */
    async receiveText(
      scope: DatabaseScope,
      sent: string,
      contentType: string | undefined,
    ): Promise<ReceivedFile> {
      const text = cleanText(sent);
      const stream = Readable.from([Buffer.from(text, 'utf8')]);
      const file = await receive(scope, stream, { fileName: undefined, contentType });
      return { ...file, beginning: text.slice(0, beginningLength) };
    },

    /** Removes a file that no document holds. Never fails: what is left over is cleared away later. */
    drop,
  };
}

export function fileTooLarge(maxFileBytes: number): AppError {
  return new AppError('too_large', `A file may have at most ${Math.floor(maxFileBytes / 1024 / 1024)} MiB.`);
}

/** Passes a stream on, hashing it, and stops it once it is too long. */
async function* measured(stream: Readable, maxFileBytes: number, hash: Hash): AsyncGenerator<Buffer> {
  // The reader of forms cuts a file at the limit and says so beside the stream, not in it.
  const wasCut = () => (stream as { truncated?: boolean }).truncated === true;
  let bytes = 0;
  for await (const part of stream) {
    const buffer = Buffer.isBuffer(part) ? part : Buffer.from(part as string);
    bytes += buffer.length;
    if (bytes > maxFileBytes || wasCut()) throw fileTooLarge(maxFileBytes);
    hash.update(buffer);
    yield buffer;
  }
  if (wasCut()) throw fileTooLarge(maxFileBytes);
}

const sayNothing = ['application/octet-stream', 'binary/octet-stream', 'application/binary'];

/** The media type without parameters; null for those that only say "some bytes". */
function declaredType(contentType: string | undefined): string | null {
  const type = contentType?.split(';')[0]?.trim().toLowerCase() ?? '';
  if (!/^[a-z0-9.+-]{1,100}\/[a-z0-9.+-]{1,100}$/.test(type)) return null;
  return sayNothing.includes(type) ? null : type;
}
