import { describe, expect, it } from 'vitest';
import { commandLine, waysToRun } from './server-user.ts';

const capabilities = (prefix: readonly string[]) =>
  prefix.filter((word) => word.startsWith('--ambient-caps'));

describe('waysToRun', () => {
  it('as root tries fewer privileges before more, and never keeps root', () => {
    const ways = waysToRun(true, '/usr/bin/setpriv');
    expect(ways.map((way) => capabilities(way.commandPrefix))).toEqual([
      [],
      [],
      ['--ambient-caps=-all,+dac_read_search'],
      ['--ambient-caps=-all,+dac_override'],
    ]);
    for (const way of ways) {
      expect(way.owner).toEqual({ uid: 65_534, gid: 65_534 });
      expect(way.spawnAs !== null || way.commandPrefix.includes('--reuid')).toBe(true);
    }
  });

  it('as an ordinary user changes no user', () => {
    for (const way of waysToRun(false, '/usr/bin/setpriv')) {
      expect(way).toMatchObject({ owner: null, spawnAs: null });
      expect(way.commandPrefix).not.toContain('--reuid');
    }
  });

  it('does without setpriv where there is none', () => {
    expect(waysToRun(false, null)).toEqual([{ owner: null, commandPrefix: [], spawnAs: null }]);
    expect(waysToRun(true, null)).toHaveLength(1);
  });
});

describe('commandLine', () => {
  it('puts the prefix in front', () => {
    const way = { owner: null, commandPrefix: ['/usr/bin/setpriv', '--'], spawnAs: null };
    expect(commandLine(way, 'postgres', ['-D', 'x'])).toEqual([
      '/usr/bin/setpriv',
      '--',
      'postgres',
      '-D',
      'x',
    ]);
  });
});
