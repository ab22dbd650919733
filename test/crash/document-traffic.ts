import { call, type Reply } from '../harness/server.ts';
import { type ContentKey, forms, makeContent, markerOf, type Size } from './content.ts';
import { type CrashRun, crew, report, tenantOf, tenantSlugs } from './house.ts';
import type { Change, DocumentState, KnownDocument } from './journal.ts';
import type { Draws } from './random.ts';

/** A server that is there answers within this, however busy the machine. */
const answerWithinMs = 90_000;

/** @returns null when no whole reply arrived. */
export async function ask(run: CrashRun, asking: Promise<Reply>): Promise<Reply | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), answerWithinMs);
  });
  try {
    const reply = await Promise.race([asking.catch(() => null), late]);
    if (reply !== 'late') {
      // Whoever cannot serve says which part is away; this one means that nobody thought of it.
      if (reply?.status === 500)
        report(run, 'answers', `a request answered 500: ${reply.text.slice(0, 300)}`);
      return reply;
    }
    report(run, 'answers', `a request was open for ${answerWithinMs} ms`);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

/** A document that nobody has sent before. */
export function newDocument(run: CrashRun, draws: Draws): KnownDocument {
  const number = run.journal.documents.length + 1;
  const next = firstState(run, draws);
  const document: KnownDocument = {
    tenant: draws.pick(tenantSlugs),
    externalId: draws.chance(0.3) ? `log-${number}` : null,
    id: null,
    state: null,
    markers: [markerOf(next.content)],
    pending: { kind: 'create', next },
    attempts: 0,
    abandoned: false,
    deleted: false,
    readyVersion: 0,
    busy: false,
    round: run.round,
  };
  run.journal.documents.push(document);
  return document;
}

function firstState(run: CrashRun, draws: Draws): DocumentState {
  run.contents += 1;
  return {
    version: 1,
    content: newContent(run, draws),
    givenTitle: draws.chance(0.5) ? `Given title ${run.contents}` : null,
    groups: draws.chance(0.25) ? [crew] : [],
  };
}

/** The newest of the run's contents. */
function newContent({ seed, contents: number }: CrashRun, draws: Draws): ContentKey {
  const size = draws.weighted<Size>({ small: 70, medium: 24, large: 6 });
  return { seed, number, form: draws.pick(forms), size, heading: `Harbour log ${number}` };
}

/** What its owner does next with a document that stands as it was acknowledged. */
export function changeOf(
  run: CrashRun,
  draws: Draws,
  document: KnownDocument,
  kind: 'revise' | 'acl' | 'delete',
): Change {
  const { state } = document;
  if (kind === 'delete' || state === null) return { kind: 'delete', next: null };
  if (kind === 'acl') return { kind, next: { ...state, groups: state.groups.length === 0 ? [crew] : [] } };
  run.contents += 1;
  const content = newContent(run, draws);
  document.markers.push(markerOf(content));
  const givenTitle = draws.chance(0.3) ? `Given title ${run.contents}` : state.givenTitle;
  return {
    kind,
    byExternalId: document.externalId !== null && draws.chance(0.5),
    next: { ...state, version: state.version + 1, content, givenTitle },
  };
}

/** Sends what is pending of a document, for the first time or again, and writes down what the reply acknowledges. */
export async function send(run: CrashRun, url: string, draws: Draws, document: KnownDocument): Promise<void> {
  const change = document.pending;
  if (change === null) return;
  document.attempts += 1;
  if (document.attempts > 1) run.journal.sentAgain += 1;
  document.round = run.round;
  const reply = await ask(run, request(run, url, draws, document, change));
  if (reply === null || reply.status >= 500) return;
  run.journal.acknowledged();
  if (change.kind === 'delete') acknowledgeDeletion(run, document, reply);
  else acknowledge(run, document, change, change.next, reply);
}

function request(
  run: CrashRun,
  url: string,
  draws: Draws,
  document: KnownDocument,
  change: Change,
): Promise<Reply> {
  const { writerKey } = tenantOf(run, document.tenant);
  const path = `/api/v1/documents/${document.id}`;
  const wait = draws.chance(0.3) ? '?wait=true' : '';
  switch (change.kind) {
    case 'create':
      return call(url, writerKey, 'POST', `/api/v1/documents${wait}`, bodyOf(change.next, document, true));
    case 'revise':
      return change.byExternalId
        ? call(url, writerKey, 'POST', `/api/v1/documents${wait}`, bodyOf(change.next, document, false))
        : call(url, writerKey, 'PUT', `${path}${wait}`, bodyOf(change.next, { externalId: null }, false));
    case 'acl':
      return call(url, writerKey, 'PUT', `${path}/acl`, { groups: change.next.groups });
    case 'delete':
      return call(url, writerKey, 'DELETE', path);
  }
}

function bodyOf(
  state: DocumentState,
  { externalId }: Pick<KnownDocument, 'externalId'>,
  withAcl: boolean,
): unknown {
  const content = makeContent(state.content);
  const fields = {
    ...(state.givenTitle !== null && { title: state.givenTitle }),
    ...(externalId !== null && { external_id: externalId }),
    ...(withAcl && state.groups.length > 0 && { acl: { groups: state.groups } }),
  };
  if (content.fileName === null) return { ...fields, text: content.text, content_type: content.mediaType };
  const form = new FormData();
  for (const [name, value] of Object.entries(fields))
    form.append(name, typeof value === 'string' ? value : JSON.stringify(value));
  form.append(
    'file',
    new Blob([new Uint8Array(content.bytes)], { type: content.mediaType }),
    content.fileName,
  );
  return form;
}

function acknowledge(
  run: CrashRun,
  document: KnownDocument,
  change: Change,
  next: DocumentState,
  reply: Reply,
): void {
  if (reply.status >= 300) {
    report(
      run,
      'accepted',
      `${change.kind} of ${nameOf(document)} answered ${reply.status}: ${reply.text.slice(0, 300)}`,
    );
    return;
  }
  const shown = reply.json;
  const expected = change.kind === 'create' && document.attempts === 1 ? [201, 202] : [200, 201, 202];
  if (!expected.includes(reply.status))
    report(run, 'accepted', `${change.kind} of ${nameOf(document)} answered ${reply.status} at once`);
  if (document.id !== null && shown.id !== document.id)
    report(run, 'once', `${change.kind} of ${nameOf(document)} made another document, ${shown.id}`);
  if (shown.version !== next.version)
    report(
      run,
      'version',
      `${nameOf(document)} is at ${shown.version}, not ${next.version}, after ${change.kind}`,
    );
  document.id = shown.id;
  document.state = next;
  document.pending = null;
  document.attempts = 0;
  if (shown.status === 'ready') document.readyVersion = shown.version;
}

function acknowledgeDeletion(run: CrashRun, document: KnownDocument, reply: Reply): void {
  const wasThereBefore = document.attempts > 1;
  if (reply.status !== 200 && reply.status !== 202 && !(reply.status === 404 && wasThereBefore)) {
    report(
      run,
      'deleted',
      `${nameOf(document)} answered its deletion with ${reply.status}: ${reply.text.slice(0, 300)}`,
    );
    return;
  }
  document.state = null;
  document.pending = null;
  document.attempts = 0;
  document.deleted = true;
}

export function nameOf(document: KnownDocument): string {
  const content = (document.state ?? document.pending?.next)?.content;
  return `document ${document.id ?? '(without an id)'} of ${document.tenant}, content ${content?.number} (${content?.form}, ${content?.size})`;
}
