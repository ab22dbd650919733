import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { UsageError } from '../command.ts';
import { externalIdOf, findFiles } from './find-files.ts';

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-ingest-')));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), path);
  }
}

async function idsOf(
  paths: string[],
  options: { base?: string; mostFiles?: number; signal?: AbortSignal } = {},
) {
  const files = await findFiles(
    paths.map((path) => join(root, path)),
    {
      base: options.base ?? root,
      mostFiles: options.mostFiles ?? 100,
      signal: options.signal ?? new AbortController().signal,
      onUnreadable: () => {},
    },
  );
  return files.map(({ externalId }) => externalId);
}

describe('what is ingested', () => {
  it('is what the server reads, all the way down, by path below the base', async () => {
    write('docs/b.md', 'docs/a.txt', 'docs/deep/er/C.PDF', 'docs/picture.png', 'docs/Makefile', 'other.md');
    expect(await idsOf(['docs'])).toEqual(['docs/a.txt', 'docs/b.md', 'docs/deep/er/C.PDF']);
  });

  it('leaves out dot files, dot folders and node_modules', async () => {
    write('.hidden.md', '.git/config.md', 'node_modules/pkg/README.md', 'a/node_modules/b.md', 'seen.md');
    expect(await idsOf(['.'])).toEqual(['seen.md']);
  });

  it('takes a file that is named itself, whatever it is called', async () => {
    write('LICENSE', '.env.md');
    expect(await idsOf(['LICENSE', '.env.md'])).toEqual(['.env.md', 'LICENSE']);
  });

  it('takes each file once, however often it is named', async () => {
    write('docs/a.md');
    expect(await idsOf(['docs', 'docs/a.md', '.', 'docs'])).toEqual(['docs/a.md']);
  });

  it('ends in a loop of links, and follows those that lead somewhere', async () => {
    write('docs/a.md', 'elsewhere/b.md', 'one.md');
    symlinkSync(join(root, 'docs'), join(root, 'docs/self'));
    symlinkSync(root, join(root, 'docs/up'));
    symlinkSync(join(root, 'absent'), join(root, 'docs/broken.md'));
    symlinkSync(join(root, 'one.md'), join(root, 'docs/one.md'));
    expect(await idsOf(['docs'])).toEqual([
      'docs/a.md',
      'docs/one.md',
      'docs/up/elsewhere/b.md',
      'docs/up/one.md',
    ]);
  });

  it('is bounded', async () => {
    write('a.md', 'b.md', 'c.md');
    expect(await idsOf(['.'], { mostFiles: 3 })).toHaveLength(3);
    await expect(idsOf(['.'], { mostFiles: 2 })).rejects.toThrow('more than 2 files');
  });

  it('has to exist', async () => {
    await expect(idsOf(['absent'])).rejects.toThrow(UsageError);
  });

  it('is refused when two files would be one document', async () => {
    write('x/docs/a.md', 'y/docs/a.md');
    await expect(idsOf(['x/docs', 'y/docs'], { base: join(root, 'base') })).rejects.toThrow(
      /would both be the document "docs\/a.md"/,
    );
  });

  it('is not looked for any further after an interruption', async () => {
    write('a.md');
    await expect(idsOf(['.'], { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('the name of a document', () => {
  it('never leads out of anything, whatever is named from wherever', () => {
    const part = fc.constantFrom('a', '..x', '...', '.git', 'deep', 'b.md');
    const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => `/${parts.join('/')}`);
    fc.assert(
      fc.property(path, fc.nat({ max: 5 }), path, (file, up, base) => {
        const given = file
          .split('/')
          .slice(0, Math.max(2, file.split('/').length - up))
          .join('/');
        const parts = externalIdOf(file, given, base).split('/');
        expect(parts).not.toContain('..');
        expect(parts).not.toContain('');
        expect(file.endsWith(`/${parts.join('/')}`)).toBe(true);
      }),
    );
  });

  it.each([
    ['/work/docs/a.md', '/work/docs', '/work', 'docs/a.md'],
    ['/work/docs/a.md', '/work/docs/a.md', '/work', 'docs/a.md'],
    ['/work/a.md', '/work', '/work', 'a.md'],
    ['/srv/wiki/deep/a.md', '/srv/wiki', '/work', 'wiki/deep/a.md'],
    ['/srv/a.md', '/srv/a.md', '/work', 'a.md'],
    ['/work..x/a.md', '/work..x', '/work', 'work..x/a.md'],
    ['/work/..x/a.md', '/work', '/work', '..x/a.md'],
  ])('of %s found by %s from %s is %s', (path, given, base, expected) => {
    expect(externalIdOf(path, given, base)).toBe(expected);
  });
});
