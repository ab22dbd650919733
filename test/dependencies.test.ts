import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

/*
 * What is in the list of libraries, by the list: docs/dependencies.md says what it promises.
 */

interface Listed {
  readonly version?: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}
const read = async (file: string) => JSON.parse(await readFile(file, 'utf8'));
const { packages } = (await read('package-lock.json')) as { packages: Record<string, Listed> };
const listed = Object.entries(packages).filter(([place]) => place !== '');
const nameOf = (place: string) => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length);

const allowed: ReadonlySet<string> = new Set([
  'MIT',
  'Apache-2.0',
  'BSD',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'ISC',
  'MPL-2.0',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Zlib',
  'PostgreSQL',
]);
/** Their licence stands in a file beside the code, and not in the list. */
const licenceFiles: Readonly<Record<string, string>> = {
  'base-64': 'MIT',
  'json-bignum': 'MIT',
  'png-js': 'MIT',
};
/** Optional, and never loaded: the embedding library of the search index and what it brings. */
const unloaded = /^(?:@img\/sharp-|flatbuffers$)/;

function mayBeUsed(licence: string): boolean {
  const terms = licence.replace(/[()]/g, '');
  if (terms.includes(' OR ')) return terms.split(' OR ').some((one) => allowed.has(one));
  return terms.split(' AND ').every((one) => allowed.has(one));
}

describe('libraries', () => {
  it('are of one exact version and one checksum each, from the registry', async () => {
    expect(listed.length).toBeGreaterThan(300);
    const loose = listed.filter(([, { version, integrity, resolved }]) => {
      const isFromRegistry = resolved === undefined || resolved.startsWith('https://registry.npmjs.org/');
      return !version || !integrity?.startsWith('sha512-') || !isFromRegistry;
    });
    expect(loose.map(([place]) => place)).toEqual([]);
    const { dependencies, devDependencies } = await read('package.json');
    for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
      expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/)]);
    }
  });

  it('that production needs are under licences that ask for nothing that is not given', () => {
    const others = listed
      .filter(([, { dev }]) => dev !== true)
      .map(([place, { license, optional }]) => ({
        name: nameOf(place),
        licence: license ?? licenceFiles[nameOf(place)] ?? 'unknown',
        optional: optional === true,
      }))
      .filter(({ licence }) => !mayBeUsed(licence));
    expect(others.filter(({ name, optional }) => !(optional && unloaded.test(name)))).toEqual([]);
  });
});
