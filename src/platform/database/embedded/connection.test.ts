import fc from 'fast-check';
import pg from 'pg';
import { describe, expect, it } from 'vitest';
import { connectionTo } from './connection.ts';

describe('connectionTo', () => {
  it('gives a connection string that pg reads as the same connection, whatever the path', () => {
    const segment = fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => text.replaceAll('/', '-'));
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 6 }), (segments) => {
        const path = `/${segments.join('/')}`;
        const connection = connectionTo(path);
        const client = new pg.Client({ connectionString: connection.url });
        expect(client).toMatchObject({ host: path, port: 5432, user: 'gatehouse', database: 'gatehouse' });
        expect(URL.canParse(connection.url)).toBe(true);
      }),
    );
  });
});
