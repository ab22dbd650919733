import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

/** Lines of the table: id, level, requirement, state, what shows it. */
const rows = (await readFile('docs/asvs.md', 'utf8'))
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

describe('docs/asvs.md', () => {
  it('names files that exist', () => {
    const named = rows.flatMap(([id, , , , shown = '']) =>
      [...shown.matchAll(/`([\w.-]+(?:\/[\w.-]+)+|[\w-]+\.json)`/g)].map((match) => ({
        id,
        file: match[1] ?? '',
      })),
    );
    expect(named.length).toBeGreaterThan(150);
    expect(named.filter(({ file }) => !existsSync(file))).toEqual([]);
  });

  it('says of everything what it is, and why where it is not met', () => {
    for (const [id, level, , state, shown] of rows) {
      expect({ id, level }).toEqual({ id, level: expect.stringMatching(/^(1|2|1-2)$/) });
      expect(['met', 'partly', '**not met**', 'not applicable']).toContain(state);
      expect({ id, why: shown?.length }).not.toEqual({ id, why: 0 });
    }
    expect(new Set(rows.map(([id]) => id)).size).toBe(rows.length);
  });
});
