import { setTimeout as pause } from 'node:timers/promises';
import { call, type Reply } from '../harness/server.ts';
import { isStoredAsSent, makeContent, markerOf } from './content.ts';
import { ask, nameOf } from './document-traffic.ts';
import { type CrashRun, report, tenantOf } from './house.ts';
import type { DocumentState, KnownDocument } from './journal.ts';

/**
 * A document that a reply said is searchable is found by its own word, and by nothing of what it held before. Skipped
 * when the server does not answer now: an index that is being mended says so.
 */
export async function checkFindable(run: CrashRun, url: string, document: KnownDocument): Promise<void> {
  const { state } = document;
  if (state === null || document.readyVersion < state.version) return;
  const { writerKey } = tenantOf(run, document.tenant);
  const found = await search(run, url, writerKey, markerOf(state.content));
  if (found !== null) judgeHits(run, document, state, found);
}

/** After an acknowledged deletion nothing answers from the document. */
export async function checkGone(run: CrashRun, url: string, document: KnownDocument): Promise<void> {
  const { writerKey } = tenantOf(run, document.tenant);
  for (const path of ['', '/text']) {
    const reply = await ask(run, call(url, writerKey, 'GET', `/api/v1/documents/${document.id}${path}`));
    if (reply !== null && reply.status !== 404 && reply.status < 500)
      report(run, 'deleted', `GET of the deleted ${nameOf(document)} answered ${reply.status}`);
  }
  for (const marker of document.markers) {
    const found = await search(run, url, writerKey, marker);
    if (found !== null && found.length > 0)
      report(run, 'deleted', `${marker} of the deleted ${nameOf(document)} is still found`);
  }
}

/**
 * Everything about one settled document, once nothing is on its way any more: as it was acknowledged, its text as it
 * was sent, found by who may read it and by nobody else, and no earlier version.
 */
export async function checkWhole(run: CrashRun, url: string, document: KnownDocument): Promise<void> {
  const { state } = document;
  if (state === null) return;
  const tenant = tenantOf(run, document.tenant);
  const path = `/api/v1/documents/${document.id}`;
  const get = (key: string, to: string) => answered(run, () => call(url, key, 'GET', to));
  const shown = await get(tenant.writerKey, path);
  if (shown.status !== 200) {
    report(run, 'kept', `GET of ${nameOf(document)} answered ${shown.status}`);
    return;
  }
  judgeShown(run, document, state, shown.json);
  const stored = await get(tenant.writerKey, `${path}/text`);
  if (stored.status !== 200 || !isStoredAsSent(state.content, makeContent(state.content), stored.json.text))
    report(run, 'text', `the stored text of ${nameOf(document)} is not what was sent (${stored.status})`);

  const marker = markerOf(state.content);
  const find = async (key: string) => (await settledSearch(run, url, key, marker)) ?? [];
  judgeHits(run, document, state, await find(tenant.writerKey), stored.json?.text);
  const mayRead = state.groups.length === 0;
  if ((await find(tenant.readerKey)).length > 0 !== mayRead)
    report(
      run,
      'acl',
      `${nameOf(document)} is ${mayRead ? 'not found' : 'found'} by a reader outside its groups`,
    );
  if ((await find(tenant.crewKey)).length === 0)
    report(run, 'acl', `${nameOf(document)} is not found by a reader of its group`);
  const asReader = await get(tenant.readerKey, path);
  if (asReader.status !== (mayRead ? 200 : 404))
    report(
      run,
      'acl',
      `GET of ${nameOf(document)} answered ${asReader.status} to a reader outside its groups`,
    );
  for (const earlier of document.markers) {
    if (earlier === marker) continue;
    const found = await settledSearch(run, url, tenant.writerKey, earlier);
    if (found === null || found.length > 0)
      report(run, 'version', `${earlier} of an earlier version of ${nameOf(document)} is still found`);
  }
}

function judgeShown(run: CrashRun, document: KnownDocument, state: DocumentState, shown: any): void {
  const expected = {
    title: state.givenTitle ?? state.content.heading,
    external_id: document.externalId,
    status: 'ready',
    version: state.version,
    searchable_version: state.version,
    content_sha256: makeContent(state.content).sha256,
    acl: { roles: [], groups: [...state.groups], users: [] },
  };
  for (const [field, value] of Object.entries(expected)) {
    if (JSON.stringify(shown[field]) !== JSON.stringify(value))
      report(
        run,
        'kept',
        `${nameOf(document)} has ${field} ${JSON.stringify(shown[field])}, not ${JSON.stringify(value)}`,
      );
  }
}

function judgeHits(
  run: CrashRun,
  document: KnownDocument,
  state: DocumentState,
  hits: readonly any[],
  stored?: string,
): void {
  const marker = markerOf(state.content);
  const own = hits.filter((hit) => hit.document_id === document.id);
  if (own.length === 0) report(run, 'findable', `${nameOf(document)} is not found by ${marker}`);
  if (own.length < hits.length)
    report(
      run,
      'once',
      `${marker} of ${nameOf(document)} is found in ${hits.length - own.length} other hits`,
    );
  const places = new Set(own.map((hit) => `${hit.start}-${hit.end}`));
  if (places.size < own.length) report(run, 'once', `a passage of ${nameOf(document)} is found twice`);
  if (stored === undefined) return;
  for (const hit of own) {
    if (stored.slice(hit.start, hit.end) !== hit.text)
      report(run, 'text', `a hit in ${nameOf(document)} is not the stored text of its place`);
  }
}

/** @returns null when search does not answer now. */
async function search(run: CrashRun, url: string, key: string, query: string): Promise<any[] | null> {
  const reply = await ask(run, searching(url, key, query));
  if (reply === null || reply.status >= 500) return null;
  if (reply.status === 200) return reply.json.hits;
  report(run, 'accepted', `a search answered ${reply.status}: ${reply.text.slice(0, 300)}`);
  return null;
}

const searching = (url: string, key: string, query: string): Promise<Reply> =>
  call(url, key, 'POST', '/api/v1/search', { query, mode: 'lexical', limit: 50 });

async function settledSearch(run: CrashRun, url: string, key: string, query: string): Promise<any[] | null> {
  const reply = await answered(run, () => searching(url, key, query));
  return reply.status === 200 ? reply.json.hits : null;
}

/** On a server that nobody disturbs every request is answered; an index that is being mended is asked again. */
const tries = 30;
const betweenTriesMs = 1_000;

export async function answered(run: CrashRun, asking: () => Promise<Reply>): Promise<Reply> {
  for (let tried = 1; ; tried++) {
    const reply = await ask(run, asking());
    if (reply !== null && (reply.status < 500 || tried === tries)) return reply;
    if (tried === tries) throw new Error('the undisturbed server does not answer');
    await pause(betweenTriesMs);
  }
}
