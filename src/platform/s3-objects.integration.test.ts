import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startS3, type TestS3 } from '../../test/harness/s3.ts';
import { systemClock } from './clock.ts';
import { createIds } from './ids.ts';
import { createFileObjects, createTwoStores } from './objects.ts';
import { systemRandom } from './random.ts';
import { createS3Objects, type S3Objects } from './s3-objects.ts';

let s3: TestS3;
let root: string;
let objects: S3Objects;
const newId = createIds(systemClock, systemRandom);

beforeAll(async () => {
  s3 = await startS3();
  root = mkdtempSync(join(tmpdir(), 'gatehouse-s3-drafts-'));
  objects = createS3Objects(s3.config, root, newId);
});
afterAll(async () => {
  objects.stop();
  await s3.stop();
  rmSync(root, { recursive: true });
});

const bytesOf = async (stream: Readable) => Buffer.concat(await stream.toArray());

describe('objects in S3', () => {
  it('gives back what was put, byte for byte, also to whoever wants a file', async () => {
    const content = randomBytes(3 * 1024 * 1024 + 7);
    const pieces = [content.subarray(0, 1_000_000), content.subarray(1_000_000)];
    expect(await objects.put('documents/shared/a/1', Readable.from(pieces))).toBe(content.length);
    expect(await objects.exists('documents/shared/a/1')).toBe(true);
    expect((await bytesOf(await objects.get('documents/shared/a/1'))).equals(content)).toBe(true);
    let path = '';
    const same = await objects.withFile('documents/shared/a/1', async (given) => {
      path = given;
      return readFileSync(given).equals(content);
    });
    expect(same).toBe(true);
    expect(existsSync(path)).toBe(false);
  });

  it('keeps nothing of what broke off', async () => {
    const broken = Readable.from(
      (async function* () {
        yield 'half';
        throw new Error('the client left');
      })(),
    );
    await expect(objects.put('documents/shared/a/2', broken)).rejects.toThrow('the client left');
    expect(await objects.exists('documents/shared/a/2')).toBe(false);
    expect(readdirSync(root)).toEqual([]);
  });

  it('stores what is empty', async () => {
    expect(await objects.put('documents/shared/a/empty', Readable.from([]))).toBe(0);
    expect(await bytesOf(await objects.get('documents/shared/a/empty'))).toHaveLength(0);
  });

  it('removes, and does not mind what is gone', async () => {
    await objects.put('documents/shared/a/3', Readable.from(['x']));
    await objects.remove('documents/shared/a/3');
    await objects.remove('documents/shared/a/3');
    expect(await objects.exists('documents/shared/a/3')).toBe(false);
    await expect(objects.get('documents/shared/a/3')).rejects.toMatchObject({ code: 'not_found' });
    await expect(objects.withFile('documents/shared/a/3', async () => 1)).rejects.toMatchObject({
      code: 'not_found',
    });
  });

  it.each(['../outside', 'a//b', '', '.hidden'])('refuses the key %j', async (key) => {
    await expect(objects.put(key, Readable.from(['x']))).rejects.toThrow('is not an object key');
    expect(readdirSync(root)).toEqual([]);
  });

  it('says what is wrong with a bucket or a key, and names no secret', async () => {
    await expect(objects.check()).resolves.toBeUndefined();
    for (const wrong of [
      { bucket: 'another' },
      { accessKeyId: 'another', secretAccessKey: 'not-the-secret' },
    ]) {
      const other = createS3Objects({ ...s3.config, ...wrong }, root, newId);
      const refusal = await other.check().catch((error) => error);
      expect(refusal).toMatchObject({ code: 'dependency_down', message: expect.stringMatching(/40[34]/) });
      expect(refusal.message).not.toContain('not-the-secret');
      other.stop();
    }
  });

  it('stands beside files, each key in its own store', async () => {
    const both = createTwoStores(createFileObjects(join(root, 'files'), newId), objects);
    await both.put('documents/shared/a/4', Readable.from(['in S3']));
    await both.put('documents/a/4', Readable.from(['in a file']));
    expect(await objects.exists('documents/shared/a/4')).toBe(true);
    expect(await objects.exists('documents/a/4')).toBe(false);
    expect(String(await bytesOf(await both.get('documents/a/4')))).toBe('in a file');
    const without = createTwoStores(createFileObjects(join(root, 'files'), newId), null);
    await expect(without.get('documents/shared/a/4')).rejects.toMatchObject({ code: 'dependency_down' });
    rmSync(join(root, 'files'), { recursive: true });
  });
});
