import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSimulator, type Simulator } from '../../tools/simulator/server.ts';
import { createDraws, type Draws } from '../crash/random.ts';
import { call, type Reply, type RunningServer, removeDirectory, startServer } from '../harness/server.ts';
import {
  comparable,
  furnishTwin,
  type HiddenBy,
  hiddenDocuments,
  openDocuments,
  type Twin,
} from './twin-tenants.ts';

/*
 * Two tenants hold the same documents, and one of them some more that its readers may not read. The same requests, drawn
 * at random, are put to both: replies must be the same to the byte, but for what differs between any two tenants.
 */
let simulator: Simulator;
let server: RunningServer;
let provider: string;

beforeAll(async () => {
  simulator = createSimulator({ seed: 5 });
  const upstream = await simulator.start();
  provider = `${upstream.url}/v1`;
  server = await startServer();
});
afterAll(async () => {
  await server.stop();
  await simulator.stop();
  await removeDirectory(server.dataDir);
});

type Who = 'reader' | 'writer' | 'auditor';
/** What is asked, in the words of either tenant. */
type Asking = (twin: Twin) => { who: Who; method: string; path: string; body?: unknown };

const words = [
  'harbour',
  'salaries',
  'signal',
  'lamp',
  'zanzibar',
  'master',
  'crowns',
  'tide',
  'fog',
  'cutter',
];
const questions = [
  'How much is the harbour master paid?',
  'When does the harbour open?',
  'What does the signal lamp show when the cutter is near?',
  'Who trims the lamp?',
];

function draw(draws: Draws): Asking {
  const who = draws.pick<Who>(['reader', 'writer', 'auditor']);
  const place = draws.integer(0, hiddenDocuments.length - 1);
  // Drawn once, so that both tenants are asked the same.
  const aims = draws.chance(0.7);
  const target = (twin: Twin) =>
    (aims
      ? twin.hiddenIds[place]
      : [...twin.names].find(([, name]) => name === `open document ${place}`)?.[0]) ?? '';
  const query = [draws.pick(words), draws.pick(words), draws.pick(words)].join(' ');
  const mode = draws.pick([undefined, 'lexical', 'hybrid', 'vector'] as const);
  const limit = draws.integer(1, 10);
  const question = draws.pick(questions);
  const filtered = draws.weighted({ none: 3, ids: 2, metadata: 2 });
  const shelf = draws.integer(0, 2);
  const filters = (twin: Twin) =>
    filtered === 'none'
      ? {}
      : { filters: filtered === 'ids' ? { document_ids: [target(twin)] } : { metadata: { shelf } } };
  const suffix = draws.pick(['', '/text', '/deletion']);
  const asking: Record<string, Asking> = {
    one: (twin) => ({ who, method: 'GET', path: `/api/v1/documents/${target(twin)}${suffix}` }),
    list: () => ({ who, method: 'GET', path: `/api/v1/documents?limit=${limit}` }),
    ready: () => ({ who, method: 'GET', path: `/api/v1/documents?limit=${limit}&status=ready` }),
    search: (twin) => ({
      who,
      method: 'POST',
      path: '/api/v1/search',
      body: { query, limit, ...(mode && { mode }), ...filters(twin) },
    }),
    answer: (twin) => ({
      who,
      method: 'POST',
      path: '/api/v1/query',
      // Few kinds, so that some are asked again and answered from the cache.
      body: { query: question, limit: limit <= 5 ? 3 : 8, ...filters(twin) },
    }),
    change: (twin) => ({
      who: 'writer',
      method: 'PUT',
      path: `/api/v1/documents/${twin.hiddenIds[place]}`,
      body: { title: 'Mine now' },
    }),
    open: (twin) => ({
      who: 'auditor',
      method: 'PUT',
      path: `/api/v1/documents/${twin.hiddenIds[place]}/acl`,
      body: {},
    }),
    remove: (twin) => ({
      who: 'writer',
      method: 'DELETE',
      path: `/api/v1/documents/${twin.hiddenIds[place]}`,
    }),
    audit: (twin) => ({
      who: 'auditor',
      method: 'GET',
      path: `/api/v1/audit-logs?target_type=document&target_id=${target(twin)}`,
    }),
  };
  return asking[
    draws.weighted({
      one: 4,
      list: 2,
      ready: 1,
      search: 6,
      answer: 4,
      change: 1,
      open: 1,
      remove: 1,
      audit: 1,
    })
  ] as Asking;
}

const ask = async (twin: Twin, asking: Asking): Promise<Reply> => {
  const { who, method, path, body } = asking(twin);
  return call(server.url, twin.keys[who], method, path, body);
};

describe.each<HiddenBy>(['readers', 'a condition'])('documents that a reader may not read, by %s,', (by) => {
  let twins: [Twin, Twin];
  beforeAll(async () => {
    const slug = by.replace(' ', '-');
    twins = [
      await furnishTwin(server, `${slug}-hiding`, provider, true, by),
      await furnishTwin(server, `${slug}-candid`, provider, false, by),
    ];
  });

  it('are there for those who may', async () => {
    const list = await call(server.url, twins[0].keys.payroll, 'GET', '/api/v1/documents');
    expect(list.json.documents).toHaveLength(openDocuments.length + hiddenDocuments.length);
    const found = await call(server.url, twins[0].keys.payroll, 'POST', '/api/v1/search', {
      query: 'crowns',
    });
    expect(found.text).toContain('ninety thousand');
    expect(found.json.mode).toBe('hybrid');
    for (const twin of twins) {
      const query = { query: 'crowns', mode: 'vector' };
      const byMeaning = await call(server.url, twin.keys.reader, 'POST', '/api/v1/search', query);
      expect(byMeaning.status).toBe(200);
      expect(byMeaning.json.hits).toHaveLength(openDocuments.length);
    }
  });

  it('make no difference to any reply: not to an id, a count, a score, a cursor, an error or a cached answer', async () => {
    const draws = createDraws(11);
    const seen = new Set<string>();
    for (let round = 0; round < 250; round++) {
      const asking = draw(draws);
      const [hiding, candid] = [await ask(twins[0], asking), await ask(twins[1], asking)];
      seen.add(`${candid.status} ${candid.headers.get('x-gatehouse-cache')}`);
      expect(comparable(twins[0], hiding), JSON.stringify(asking(twins[0]))).toBe(
        comparable(twins[1], candid),
      );
    }
    // The requests have teeth: answers were made, and given again.
    expect([...seen]).toEqual(expect.arrayContaining(['200 miss', '200 hit', '200 null', '404 null']));
  });

  it('make no difference page by page', async () => {
    const pages = async (twin: Twin) => {
      const found: string[] = [];
      let cursor: string | null = null;
      do {
        const from: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
        const page: Reply = await call(
          server.url,
          twin.keys.reader,
          'GET',
          `/api/v1/documents?limit=2${from}`,
        );
        found.push(comparable(twin, page));
        cursor = page.json.next_cursor;
      } while (cursor);
      return found;
    };
    expect(await pages(twins[0])).toEqual(await pages(twins[1]));
  });

  it('make no difference to who sends the same text, or the same external id, and deletes it again', async () => {
    for (const [place, text] of hiddenDocuments.entries()) {
      const bodies = [
        { title: `Secret ${place}`, text, metadata: { shelf: place % 2, kind: 'note' } },
        { title: 'Other', text: `${text} `, metadata: {}, external_id: `secret-${place}` },
      ];
      for (const body of bodies) {
        const replies: string[] = [];
        for (const twin of twins) {
          const metadata = { ...body.metadata, ...twin.marks };
          const added = await call(server.url, twin.keys.writer, 'POST', '/api/v1/documents?wait=true', {
            ...body,
            metadata,
          });
          twin.names.set(added.json.id, `sent ${place}`);
          replies.push(comparable(twin, added));
          const gone = await call(
            server.url,
            twin.keys.writer,
            'DELETE',
            `/api/v1/documents/${added.json.id}`,
          );
          expect(gone.status).toBeLessThan(300);
        }
        expect(replies[0]).toBe(replies[1]);
        expect(replies[0]).toMatch(/^201/);
      }
    }
  });

  it('are in the audit log for administrators, and for nobody else who may read it', async () => {
    const [hiding] = twins;
    const path = `/api/v1/audit-logs?target_type=document&limit=200`;
    const admin = await server.call('GET', path, undefined, { 'x-tenant-id': hiding.slug });
    expect(admin.text).toContain(hiding.hiddenIds[0]);
    const auditor = await call(server.url, hiding.keys.auditor, 'GET', path);
    expect(auditor.status).toBe(200);
    for (const id of hiding.hiddenIds) expect(auditor.text).not.toContain(id);
    const entry = admin.json.entries[0].entry.id;
    expect((await call(server.url, hiding.keys.auditor, 'GET', `/api/v1/audit-logs/${entry}`)).status).toBe(
      404,
    );
    const exported = await call(server.url, hiding.keys.auditor, 'GET', '/api/v1/audit-logs/export');
    expect(exported.status).toBe(403);
  });
});
