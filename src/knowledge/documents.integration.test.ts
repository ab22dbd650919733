import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type KnowledgeServer, startKnowledgeServer } from '../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let operator: string;

beforeAll(async () => {
  server = await startKnowledgeServer({
    parse: async ({ path }) => ({
      text: await readFile(path, 'utf8'),
      contentType: 'text/plain',
      warnings: [],
    }),
  });
  operator = await server.keyIn('one', 'operator');
});
afterAll(() => server?.stop());

describe('smoke', () => {
  test('adds', async () => {
    const r = await server.request(operator, 'POST', '/documents?wait=true', {
      text: 'hello world. This is.',
    });
    expect(r.status).toBe(201);
  });
});
