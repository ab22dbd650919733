import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resolveMasterKeys } from '../master-key.ts';
import { systemRandom } from '../random.ts';
import { createLocalKeys, localKeyId } from './local-keys.ts';
import { masterKeysInFile, parseKeys } from './master-keys.ts';

const none = { masterKey: null, oldMasterKeys: [], keyringFile: null };
const a = Buffer.alloc(32, 1);
const b = Buffer.alloc(32, 2);
const lines = (...keys: Buffer[]) => `${keys.map((key) => key.toString('base64')).join('\n')}\n`;

let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'gatehouse-master-keys-'));
  path = join(directory, 'keyring');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));
const inFile = () => masterKeysInFile(path, { isShared: true, random: systemRandom });

describe('master keys', () => {
  it('are made once in the data directory, for nobody else to read', () => {
    const made = resolveMasterKeys(none, directory, systemRandom);
    expect(resolveMasterKeys(none, directory, systemRandom).keys()).toEqual(made.keys());
    expect(statSync(join(directory, 'master.key')).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['master.key']);
  });

  it('come from variables when there are any, and then no file is made', () => {
    const keys = resolveMasterKeys({ ...none, masterKey: a, oldMasterKeys: [b] }, directory, systemRandom);
    expect(keys.keys()).toEqual([a, b]);
    expect(keys.file).toBeNull();
    expect(existsSync(join(directory, 'master.key'))).toBe(false);
  });

  it('are refused when the file holds anything else, is missing, or is everybody’s to read', () => {
    for (const text of ['', 'rubbish\n', lines(a).slice(4), `${lines(a)}rubbish\n`]) {
      writeFileSync(path, text, { mode: 0o600 });
      expect(inFile).toThrow(/damaged/);
    }
    writeFileSync(path, lines(a));
    chmodSync(path, 0o644);
    expect(inFile).toThrow(/chmod 600/);
    rmSync(path);
    expect(inFile).toThrow(/cannot be read/);
    expect(() => resolveMasterKeys({ ...none, keyringFile: path }, directory, systemRandom)).toThrow(
      /cannot be read/,
    );
    expect(existsSync(path)).toBe(false);
    expect(parseKeys(lines(...Array.from({ length: 101 }, () => a)))).toBeNull();
  });

  it('that change in the file are seen; a file that is half replaced is not', () => {
    writeFileSync(path, lines(a), { mode: 0o600 });
    const keys = inFile();
    writeFileSync(path, 'half of', { mode: 0o600 });
    keys.reload();
    expect(keys.keys()).toEqual([a]);
    rmSync(path);
    keys.reload();
    expect(keys.keys()).toEqual([a]);
    writeFileSync(path, lines(b, a), { mode: 0o600 });
    keys.reload();
    expect(keys.keys()).toEqual([b, a]);
  });

  it('made by a rotation are at the end until everyone has them, then first, and gone when not everyone can', async () => {
    writeFileSync(path, lines(a), { mode: 0o600 });
    const keys = inFile();
    const engine = createLocalKeys({ masterKeys: keys, random: systemRandom });
    let atTheEnd = '';
    const made = await engine.makeKey(async (kekId) => {
      atTheEnd = readFileSync(path, 'utf8');
      expect(await engine.currentKeyId()).toBe(localKeyId(a));
      expect(await engine.knownKeyIds()).toEqual([localKeyId(a), kekId]);
    });
    expect(atTheEnd.startsWith(lines(a))).toBe(true);
    expect(await engine.currentKeyId()).toBe(made);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const before = readFileSync(path, 'utf8');
    await expect(engine.makeKey(() => Promise.reject(new Error('somebody cannot')))).rejects.toThrow(
      /somebody cannot/,
    );
    expect(readFileSync(path, 'utf8')).toBe(before);
    expect(readdirSync(directory)).toEqual(['keyring']);
  });
});
