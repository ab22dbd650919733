import { Readable } from 'node:stream';
import type { Batch, Deliver, S3Destination } from './destination.ts';

export interface Bucket {
  put(key: string, content: Readable): Promise<number>;
  stop(): void;
}

/** Opens a bucket of the owner's. */
export type OpenBucket = (place: {
  readonly bucket: string;
  readonly region: string;
  readonly endpoint: string | null;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}) => Bucket;

/** One object for each batch, whose key follows from its first leaf: what is written again replaces itself. */
export function deliverS3(destination: S3Destination, secret: string, open: OpenBucket): Deliver {
  return async (batch) => {
    const bucket = open({ ...destination, secretAccessKey: secret });
    try {
      await bucket.put(
        objectKey(destination.prefix, batch),
        Readable.from(batch.lines.map(({ text }) => `${text}\n`)),
      );
    } finally {
      bucket.stop();
    }
  };
}

/** Such as `audit/<tenant>/2026-11-21/09/000000000042.jsonl`: by the hour of the first entry, sorted by leaf. */
export function objectKey(prefix: string, { tenantId, firstLeaf, lines }: Batch): string {
  const at = lines[0]?.at.toISOString() ?? '';
  const [day = '', hour = ''] = [at.slice(0, 10), at.slice(11, 13)];
  return `${prefix}/${tenantId}/${day}/${hour}/${String(firstLeaf).padStart(12, '0')}.jsonl`;
}
