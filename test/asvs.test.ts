import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';

/** Lines of the table: id, level, requirement, state, what shows it. */
const rows = (await readFile('docs/asvs.md', 'utf8'))
  .split('\n')
  .filter((line) => /^\| \d/.test(line))
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

/** How many requirements of levels 1 and 2 each section of V9 to V17 has; in each they come first, from 1 on. */
const sections: Readonly<Record<string, number>> = {
  ...{ '9.1': 3, '9.2': 4 },
  ...{ '10.1': 2, '10.2': 2, '10.3': 4, '10.4': 11, '10.5': 5, '10.6': 2, '10.7': 3 },
  ...{ '11.1': 2, '11.2': 3, '11.3': 3, '11.4': 4, '11.5': 1, '11.6': 1 },
  ...{ '12.1': 3, '12.2': 2, '12.3': 4 },
  ...{ '13.1': 1, '13.2': 5, '13.3': 2, '13.4': 5 },
  ...{ '14.1': 2, '14.2': 4, '14.3': 3 },
  ...{ '15.1': 3, '15.2': 3, '15.3': 7 },
  ...{ '16.1': 1, '16.2': 5, '16.3': 4, '16.4': 3, '16.5': 3 },
  ...{ '17.1': 1, '17.2': 4, '17.3': 2 },
};

/** All that a first cell stands for: `10.4.1-10.4.3` are three. */
function requirementsIn(cell: string): string[] {
  const [first = '', last = first] = cell.split('-');
  const section = first.slice(0, first.lastIndexOf('.'));
  const from = Number(first.slice(section.length + 1));
  const to = Number(last.slice(last.lastIndexOf('.') + 1));
  return Array.from({ length: to - from + 1 }, (_, n) => `${section}.${from + n}`);
}

describe('docs/asvs.md', () => {
  it('has every requirement of V9 to V17, once', () => {
    const there = rows
      .flatMap(([cell = '']) => requirementsIn(cell))
      .filter((id) => Number.parseInt(id, 10) >= 9);
    const wanted = Object.entries(sections).flatMap(([section, count]) =>
      Array.from({ length: count }, (_, n) => `${section}.${n + 1}`),
    );
    expect(there.sort()).toEqual(wanted.sort());
  });

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
