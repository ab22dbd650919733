import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { gatehouse } from '../../../test/harness/command-line.ts';
import { type KnowledgeServer, startKnowledgeServer } from '../../../test/harness/knowledge.ts';

let server: KnowledgeServer;
let url: string;
let key: string;
let folder: string;
beforeAll(async () => {
  server = await startKnowledgeServer();
  url = `http://127.0.0.1:${await server.http.listen('127.0.0.1', 0)}`;
  key = await server.keyIn('acme', 'operator');
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-ingest-test-'));
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

function write(path: string, content: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
}

const ingest = (...args: string[]) =>
  gatehouse(['ingest', join(folder, 'docs'), '--base', folder, ...args], {
    GATEHOUSE_URL: url,
    GATEHOUSE_API_KEY: key,
  });

interface Document {
  id: string;
  external_id: string;
  status: string;
  version: number;
  acl: { groups: string[] };
}

async function documents(as = key): Promise<Document[]> {
  const { json } = await server.request(as, 'GET', '/documents?limit=200');
  return json.documents.sort((a: Document, b: Document) => (a.external_id < b.external_id ? -1 : 1));
}

it('sends a folder once, its changes after that, and says which files failed', async () => {
  write('docs/walls.md', '# Walls\n\nWalls keep tenants apart.');
  write('docs/deep/paint.txt', 'Paint is for show.');
  write('docs/broken.pdf', 'this is no PDF');
  write('docs/picture.png', 'nothing that is read');

  const first = await ingest();
  expect(first.exitCode).toBe(1);
  expect(first.stdout).toMatch(/^3 files: 2 now searchable, 1 failed\.\n {2}docs\/broken\.pdf: .*PDF/);
  const sent = await documents();
  expect(sent.map(({ external_id, status }) => [external_id, status])).toEqual([
    ['docs/broken.pdf', 'failed'],
    ['docs/deep/paint.txt', 'ready'],
    ['docs/walls.md', 'ready'],
  ]);

  rmSync(join(folder, 'docs/broken.pdf'));
  const again = await ingest('--json');
  expect(again.exitCode).toBe(0);
  expect(JSON.parse(again.stdout)).toMatchObject({ searchable: 0, unchanged: 2, failed: 0 });
  expect((await documents()).map(({ version }) => version)).toEqual([1, 1, 1]);

  write('docs/walls.md', '# Walls\n\nWalls of stone keep tenants apart.');
  const changed = await ingest('--json');
  expect(JSON.parse(changed.stdout)).toMatchObject({ searchable: 1, unchanged: 1, failed: 0 });
  const now = await documents();
  expect(now.map(({ id }) => id)).toEqual(sent.map(({ id }) => id));
  expect(now.find(({ external_id }) => external_id === 'docs/walls.md')).toMatchObject({
    version: 2,
    status: 'ready',
  });
});

it('says who may read, to documents that are there already too', async () => {
  const reader = await server.keyIn('acme', 'analyst');
  expect(await documents(reader)).toHaveLength(3);
  expect((await ingest('--acl-groups', 'masons')).exitCode).toBe(0);
  const held = (await documents()).filter(({ status }) => status === 'ready');
  expect(held.map(({ acl }) => acl.groups)).toEqual([['masons'], ['masons']]);
  expect((await documents(reader)).map(({ external_id }) => external_id)).toEqual(['docs/broken.pdf']);
});

it('does not send anything with a key that is not accepted', async () => {
  const { exitCode, stderr } = await ingest('--key', 'gh_wrong');
  expect(exitCode).toBe(1);
  expect(stderr).toContain('(401, correlation id');
  expect(stderr).not.toContain('files were done');
});

it('does not begin with more files than it may', async () => {
  const { exitCode, stderr } = await ingest('--max-files', '1');
  expect(exitCode).toBe(2);
  expect(stderr).toContain('more than 1 files');
});
