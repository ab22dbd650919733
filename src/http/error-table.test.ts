import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorTable } from './error-table.ts';

describe('the error table', () => {
  const documented = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');

  it('is what docs/errors.md says, code by code', () => {
    const startUp = ['config_invalid', 'data_directory', 'database_unavailable'];
    for (const [code, row] of Object.entries(errorTable)) {
      if (startUp.includes(code)) expect(documented).toContain(`\`${code}\``);
      else expect(documented).toContain(`| \`${code}\` | ${row.status} |`);
    }
  });
});
