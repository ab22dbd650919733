import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AppError } from './errors.ts';
import type { NewId } from './ids.ts';

/** Whole files by key, each written once: in local files, or in an S3 bucket (`s3-objects.ts`). */
export interface Objects {
  /** Stores the stream whole or not at all: complete and synced to disk when this resolves. @returns bytes stored. */
  put(key: string, content: Readable): Promise<number>;
  /** @throws AppError `not_found`. */
  get(key: string): Promise<Readable>;
  exists(key: string): Promise<boolean>;
  /** Removing what is not there is not an error. */
  remove(key: string): Promise<void>;
  /**
   * Gives the work a path where the content can be read as long as it lasts; the work does not change it.
   * @throws AppError `not_found`.
   */
  withFile<T>(key: string, work: (path: string) => Promise<T>): Promise<T>;
}

/** Removes what interrupted writes left behind. At the start, before anything is stored. */
export type CleanableObjects = Objects & { clean(): Promise<void> };

export const keyPattern = /^[A-Za-z0-9][A-Za-z0-9_-]*(\/[A-Za-z0-9][A-Za-z0-9_.-]*)*$/;

const sharedKey = /^[^/]+\/shared\//;

/** Objects in a store that all instances share, told by their keys from those in files of one. */
export function createTwoStores(files: CleanableObjects, shared: CleanableObjects | null): CleanableObjects {
  const storeOf = (key: string): Objects => {
    if (!sharedKey.test(key)) return files;
    if (shared) return shared;
    throw new AppError('dependency_down', 'This file is in S3, and S3 is not configured any more.');
  };
  return {
    // Refusals come as rejections.
    put: async (key, content) => storeOf(key).put(key, content),
    get: async (key) => storeOf(key).get(key),
    exists: async (key) => storeOf(key).exists(key),
    remove: async (key) => storeOf(key).remove(key),
    withFile: async (key, work) => storeOf(key).withFile(key, work),
    async clean() {
      await Promise.all([files.clean(), shared?.clean()]);
    },
  };
}

/** @param root a directory of our own; made when absent. Left-overs of interrupted writes are removed by `clean`. */
export function createFileObjects(root: string, newId: NewId): CleanableObjects {
  const drafts = join(root, '.drafts');
  const pathOf = (key: string): string => {
    if (!keyPattern.test(key)) throw new Error(`"${key}" is not an object key`);
    return join(root, key);
  };
  const isThere = async (path: string): Promise<boolean> => {
    try {
      return (await stat(path)).isFile();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  };
  const present = async (key: string): Promise<string> => {
    const path = pathOf(key);
    if (!(await isThere(path))) throw new AppError('not_found', 'The stored file is gone.');
    return path;
  };

  return {
    async put(key, content) {
      const path = pathOf(key);
      await mkdir(drafts, { recursive: true, mode: 0o700 });
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      const draft = join(drafts, newId());
      const file = await open(draft, 'wx', 0o600);
      try {
        let bytes = 0;
        await pipeline(content, async (source) => {
          for await (const part of source) {
            const buffer = Buffer.isBuffer(part) ? part : Buffer.from(part as string);
            bytes += buffer.length;
            await file.writeFile(buffer);
          }
        });
        await file.sync();
        await file.close();
        await rename(draft, path);
        await syncDirectory(dirname(path));
        return bytes;
      } catch (error) {
        await file.close().catch(() => {});
        await rm(draft, { force: true });
        throw error;
      }
    },
    get: async (key) => createReadStream(await present(key)),
    exists: (key) => isThere(pathOf(key)),
    remove: (key) => rm(pathOf(key), { force: true }),
    withFile: async (key, work) => work(await present(key)),
    async clean() {
      const left = await readdir(drafts).catch(() => []);
      await Promise.all(left.map((name) => rm(join(drafts, name), { force: true })));
    },
  };
}

/** A rename lasts only when its directory is synced too. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
