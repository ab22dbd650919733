import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from './clock.ts';
import { createIds } from './ids.ts';
import { createFileObjects } from './objects.ts';
import { systemRandom } from './random.ts';

let around: string;
let root: string;
beforeEach(() => {
  around = mkdtempSync(join(tmpdir(), 'gatehouse-objects-'));
  root = join(around, 'objects');
  mkdirSync(root);
});
afterEach(() => rmSync(around, { recursive: true }));

const make = () => createFileObjects(root, createIds(systemClock, systemRandom));
const textOf = async (stream: Readable) => (await stream.toArray()).map(String).join('');

describe('objects in files', () => {
  it('gives back what was put, and says how much it was', async () => {
    const objects = make();
    expect(await objects.put('documents/a/1', Readable.from(['gate', 'house']))).toBe(9);
    expect(await textOf(await objects.get('documents/a/1'))).toBe('gatehouse');
    expect(await objects.exists('documents/a/1')).toBe(true);
  });

  it('keeps nothing of what broke off', async () => {
    const objects = make();
    const broken = Readable.from(
      (async function* () {
        yield 'half';
        throw new Error('the client left');
      })(),
    );
    await expect(objects.put('documents/a/2', broken)).rejects.toThrow('the client left');
    expect(await objects.exists('documents/a/2')).toBe(false);
    expect(readdirSync(join(root, '.drafts'))).toEqual([]);
  });

  it('clears away what a killed process left half-written', async () => {
    const objects = make();
    await objects.put('documents/a/3', Readable.from(['x']));
    writeFileSync(join(root, '.drafts', 'left'), 'half');
    await objects.clean();
    expect(readdirSync(join(root, '.drafts'))).toEqual([]);
    expect(await objects.exists('documents/a/3')).toBe(true);
  });

  it('removes, and does not mind what is gone', async () => {
    const objects = make();
    await objects.put('documents/a/4', Readable.from(['x']));
    await objects.remove('documents/a/4');
    await objects.remove('documents/a/4');
    await expect(objects.get('documents/a/4')).rejects.toMatchObject({ code: 'not_found' });
  });

  it.each(['../outside', '/etc/passwd', 'a/../../b', 'a//b', '', '.hidden', 'a/.b'])(
    'refuses the key %j',
    async (key) => {
      await expect(make().put(key, Readable.from(['x']))).rejects.toThrow('not an object key');
      expect(existsSync(join(root, '..', 'outside'))).toBe(false);
    },
  );
});
