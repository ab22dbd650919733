import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { S3Config } from './config.ts';
import { AppError, notFound } from './errors.ts';
import type { NewId } from './ids.ts';
import { type CleanableObjects, keyPattern } from './objects.ts';

/** Tries in all of each request; the library waits between them. */
const attempts = 4;
const connectMs = 5_000;
/** Without a byte for so long a request is given up. */
const silenceMs = 30_000;

export interface S3Objects extends CleanableObjects {
  /** @throws AppError `dependency_down` with what to do when the bucket cannot be used. */
  check(): Promise<void>;
  stop(): void;
}

/**
 * Objects in a bucket of any store that speaks S3. A file passes through the directory on its way in, so that what breaks
 * off half-way never reaches the bucket, and on its way to a parser.
 * @param directory of our own; made when absent.
 */
export function createS3Objects(config: S3Config, directory: string, newId: NewId): S3Objects {
  const { bucket: Bucket } = config;
  const client = new S3Client({
    region: config.region,
    credentials: { accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey },
    // A store of one's own seldom has a name for each bucket.
    ...(config.endpoint === null ? {} : { endpoint: config.endpoint, forcePathStyle: true }),
    // Stores other than Amazon's do not all know the checksums that it came to want later.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    maxAttempts: attempts,
    requestHandler: { connectionTimeout: connectMs, socketTimeout: silenceMs },
  });

  const Key = (key: string): { Bucket: string; Key: string } => {
    if (!keyPattern.test(key)) throw new Error(`"${key}" is not an object key`);
    return { Bucket, Key: key };
  };
  const asked = <T>(request: Promise<T>): Promise<T> =>
    request.catch((error) => {
      throw isMissing(error) ? notThere(error) : away(error);
    });
  const withDraft = async <T>(work: (path: string) => Promise<T>): Promise<T> => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const draft = join(directory, newId());
    try {
      return await work(draft);
    } finally {
      await rm(draft, { force: true });
    }
  };

  const get = async (key: string): Promise<Readable> => {
    const { Body } = await asked(client.send(new GetObjectCommand(Key(key))));
    if (Body instanceof Readable) return Body;
    throw away(new Error('an answer without a body'));
  };

  /** A stream cannot be sent twice, so each try reads the file anew. */
  const send = async (key: string, draft: string, bytes: number): Promise<void> => {
    for (let attempt = 1; ; attempt++) {
      const Body = createReadStream(draft);
      try {
        await client.send(new PutObjectCommand({ ...Key(key), Body, ContentLength: bytes }));
        return;
      } catch (error) {
        if (attempt >= attempts || !isWorthAnotherTry(error)) throw away(error);
      } finally {
        Body.destroy();
      }
    }
  };

  return {
    put: (key, content) =>
      withDraft(async (draft) => {
        Key(key);
        let bytes = 0;
        await pipeline(
          content,
          async function* (source) {
            for await (const part of source) {
              const buffer = Buffer.isBuffer(part) ? part : Buffer.from(part as string);
              bytes += buffer.length;
              yield buffer;
            }
          },
          createWriteStream(draft, { flags: 'wx', mode: 0o600 }),
        );
        await send(key, draft, bytes);
        return bytes;
      }),
    get,
    async exists(key) {
      try {
        await client.send(new HeadObjectCommand(Key(key)));
        return true;
      } catch (error) {
        if (isMissing(error)) return false;
        throw away(error);
      }
    },
    async remove(key) {
      await asked(client.send(new DeleteObjectCommand(Key(key))));
    },
    withFile: (key, work) =>
      withDraft(async (draft) => {
        await pipeline(await get(key), createWriteStream(draft, { flags: 'wx', mode: 0o600 }));
        return work(draft);
      }),
    async clean() {
      const left = await readdir(directory).catch(() => []);
      await Promise.all(left.map((name) => rm(join(directory, name), { force: true })));
    },
    async check() {
      await client.send(new HeadBucketCommand({ Bucket })).catch((error) => {
        throw away(error);
      });
    },
    stop: () => client.destroy(),
  };
}

interface S3Error {
  readonly name?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const statusOf = (error: unknown): number | undefined => (error as S3Error).$metadata?.httpStatusCode;

function isMissing(error: unknown): boolean {
  return statusOf(error) === 404 && (error as S3Error).name !== 'NoSuchBucket';
}

/** What the store refused, it refuses again. */
function isWorthAnotherTry(error: unknown): boolean {
  const status = statusOf(error);
  return status === undefined || status >= 500 || status === 429;
}

function notThere(cause: unknown): AppError {
  return new AppError('not_found', notFound('file').message, { cause });
}

function away(cause: unknown): AppError {
  const { name = 'unknown', message = '' } = cause as S3Error;
  const status = statusOf(cause);
  const why = status === undefined ? message || name : `${status} ${name}`;
  return new AppError('dependency_down', `The object store cannot be used (${why}). Try again shortly.`, {
    cause,
    retryAfterSeconds: 5,
  });
}
