import type pg from 'pg';
import { call } from '../harness/server.ts';
import { checkDocuments, withDatabase } from './check-database.ts';
import { type ExpectedIndex, readExpectedIndexes } from './check-index.ts';
import { checkLedger, checkTotals } from './check-ledger.ts';
import { checkFiles, checkRows, waitForRest } from './check-leftovers.ts';
import { answered, checkFindable, checkGone, checkWhole } from './check-search.ts';
import { nameOf, send } from './document-traffic.ts';
import { type CrashRun, type CrashTenant, report } from './house.ts';
import type { KnownDocument } from './journal.ts';
import type { Draws } from './random.ts';
import { isSettled, isUnanswered } from './traffic.ts';

const atOnce = 4;

/** What can be seen at once after a kill: rows as acknowledged, and the documents that were just touched. */
export async function checkAfterRestart(run: CrashRun, url: string): Promise<void> {
  await withDatabase(run.dataDir, async (client) => {
    await checkDocuments(run, client);
    await checkLedger(run, client, url, run.round - 1);
  });
  const touched = run.journal.documents.filter((document) => document.round >= run.round - 1);
  await forEach(touched.filter(isSettled).slice(-8), (document) => checkFindable(run, url, document));
  await forEach(touched.filter(isDeleted).slice(-4), (document) => checkGone(run, url, document));
}

/**
 * Everything, on a server that nobody disturbs: requests without an answer are sent again until they have one, what is
 * on its way arrives, and then each thing is looked at. @param since the first round whose documents are looked at one
 * by one. @returns what the index must hold, to be compared when the server has stopped.
 */
export async function checkEverything(
  run: CrashRun,
  url: string,
  draws: Draws,
  since: number,
): Promise<ExpectedIndex[]> {
  await askAgain(run, url, draws);
  return withDatabase(run.dataDir, async (client) => {
    await waitForRest(run, client);
    const documents = run.journal.documents.filter((document) => document.round >= since);
    await forEach(documents.filter(isSettled), (document) => checkWhole(run, url, document));
    await forEach(documents.filter(isDeleted), (document) => checkGone(run, url, document));
    for (const tenant of run.tenants) await checkList(run, url, tenant);
    await checkLedger(run, client, url, since);
    await checkTotals(run, client, url);
    await checkDocuments(run, client);
    await checkRows(run, client);
    await checkFiles(run, client);
    return restedIndexes(run, client);
  });
}

/** Reading it is only worth something while nothing changes: our own questions made rows, but no documents. */
async function restedIndexes(run: CrashRun, client: pg.Client): Promise<ExpectedIndex[]> {
  await waitForRest(run, client);
  return readExpectedIndexes(client);
}

const isDeleted = (document: KnownDocument) => document.deleted;
const tries = 20;

/** The same requests again, as a client would that never saw an answer. */
async function askAgain(run: CrashRun, url: string, draws: Draws): Promise<void> {
  for (let tried = 0; tried < tries; tried++) {
    const unanswered = run.journal.documents.filter(isUnanswered);
    if (unanswered.length === 0) return;
    await forEach(unanswered, (document) => send(run, url, draws, document));
  }
  for (const document of run.journal.documents.filter(isUnanswered))
    report(run, 'answers', `${document.pending?.kind} of ${nameOf(document)} gets no answer`);
}

/** The list holds every document once, and for a reader only what is for everyone. */
async function checkList(run: CrashRun, url: string, tenant: CrashTenant): Promise<void> {
  const listed = await list(run, url, tenant.writerKey);
  const ids = new Set(listed.map((document) => document.id));
  if (ids.size < listed.length) report(run, 'once', `the list of ${tenant.slug} holds a document twice`);
  for (const document of run.journal.documents) {
    if (document.tenant !== tenant.slug || document.id === null) continue;
    if (ids.has(document.id) !== (document.state !== null))
      report(run, 'kept', `${nameOf(document)} is ${document.deleted ? '' : 'not '}in the list`);
  }
  const seen = await list(run, url, tenant.readerKey);
  const hidden = seen.filter((document) => document.acl.groups.length > 0);
  if (hidden.length > 0) report(run, 'acl', `a reader's list shows ${hidden.length} documents of a group`);
  const open = listed.filter((document) => document.acl.groups.length === 0);
  if (open.length !== seen.length)
    report(run, 'acl', `a reader of ${tenant.slug} sees ${seen.length} documents of ${open.length}`);
}

const maxPages = 200;

async function list(run: CrashRun, url: string, key: string): Promise<any[]> {
  const listed: any[] = [];
  let cursor = '';
  for (let page = 0; page < maxPages; page++) {
    const { json } = await answered(run, () => call(url, key, 'GET', `/api/v1/documents?limit=200${cursor}`));
    listed.push(...json.documents);
    if (json.next_cursor === null) return listed;
    cursor = `&cursor=${encodeURIComponent(json.next_cursor)}`;
  }
  throw new Error('the list of documents has no end');
}

/** A few at a time. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
