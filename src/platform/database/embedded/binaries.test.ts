import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findLibraries } from './binaries.ts';

describe('findLibraries', () => {
  let directory: string;
  let links: string;
  beforeEach(() => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-libraries-')));
    links = join(directory, 'links');
    mkdirSync(join(directory, 'native', 'lib'), { recursive: true });
    writeFileSync(join(directory, 'native', 'lib', 'libpq.so.5.18'), 'library');
    writeFileSync(join(directory, 'native', 'lib', 'libssl.so.1.1'), 'library');
    const listed = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
    writeFileSync(join(directory, 'native', 'pg-symlinks.json'), JSON.stringify(listed));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('makes the links that the install script did not make, without touching the package', async () => {
    for (const _ of ['first start', 'next start']) {
      const environment = await findLibraries(directory, links);
      expect(Object.values(environment)).toEqual([links]);
      expect(realpathSync(join(links, 'libpq.so.5'))).toBe(join(directory, 'native/lib/libpq.so.5.18'));
    }
    expect(readdirSync(join(directory, 'native', 'lib'))).toEqual(['libpq.so.5.18', 'libssl.so.1.1']);
    expect(readdirSync(links).sort()).toEqual(['libpq.so.5', 'libpq.so.5.18', 'libssl.so.1.1']);
  });

  it('does nothing when they are there', async () => {
    symlinkSync('libpq.so.5.18', join(directory, 'native/lib/libpq.so.5'));
    expect(await findLibraries(directory, links)).toEqual({});
    expect(readdirSync(directory)).toEqual(['native']);
  });
});
