import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { FormData } from 'undici';
import { z } from 'zod';
import type { Clock } from '../../platform/clock.ts';
import type { Client } from '../client.ts';
import { ServerRefusal, ServerUnreachable } from '../client-errors.ts';
import { createBoundedQueue } from './bounded-queue.ts';
import type { FoundFile } from './find-files.ts';

export interface Acl {
  readonly roles: readonly string[];
  readonly groups: readonly string[];
  readonly users: readonly string[];
}

export interface SendOptions {
  /** Null leaves the readers of known documents as they are, and makes new ones readable for the whole tenant. */
  readonly acl: Acl | null;
  /** Files under way at a time. */
  readonly concurrency: number;
  /** Whether to wait until each document is searchable. */
  readonly wait: boolean;
  readonly clock: Pick<Clock, 'sleep' | 'monotonicMs'>;
  readonly signal: AbortSignal;
  /** Called with each outcome as it is known. */
  readonly onOutcome: (outcome: FileOutcome) => void;
}

/** What became of one file. */
export interface FileOutcome {
  readonly file: FoundFile;
  /** `unchanged`: the server had it already, with the same content. `sent`: not waited for. */
  readonly result: 'searchable' | 'unchanged' | 'sent' | 'failed';
  readonly documentId: string | null;
  /** Why it failed, as a stable code; null when it did not. */
  readonly reason: string | null;
  /** The same for a person. */
  readonly detail: string | null;
}

const documentView = z.object({
  id: z.string(),
  status: z.string(),
  version: z.number(),
  reason: z.string().nullable(),
  detail: z.string().nullable(),
});
type DocumentView = z.infer<typeof documentView>;

/** As the server bounds uploads; a larger file need not be sent to be refused. */
const largestFile = 256 * 1024 * 1024;
/** An overloaded server is waited for this often, which is about a minute when it does not name a time itself. */
const retries = 5;
/** Sent and not yet searchable: beyond this, sending waits for the server to catch up. */
const mostUnsettled = 200;
const firstPollMs = 100;
const longestPollMs = 1_000;
const settledWithinMs = 30 * 60_000;

/**
 * Sends files, several at a time, and follows each document until it is searchable or has failed.
 * @throws what would fail every other file too: no server, a key that is not accepted, an overload that lasts, an
 * interruption. A file that fails by itself is an outcome.
 */
export async function sendFiles(
  client: Client,
  files: readonly FoundFile[],
  options: SendOptions,
): Promise<void> {
  const stopped = new AbortController();
  const signal = AbortSignal.any([options.signal, stopped.signal]);
  const settling = createBoundedQueue<{ file: FoundFile; document: DocumentView }>(mostUnsettled, signal);
  const waiting = files.values();

  const sendInTurn = async (): Promise<void> => {
    for (const file of waiting) {
      signal.throwIfAborted();
      const sent = await sendOne(client, file, options.acl, signal);
      if ('result' in sent) options.onOutcome(sent);
      else if (isOver(sent) || !options.wait) options.onOutcome(outcomeOf(file, sent, options.wait, true));
      else await settling.put({ file, document: sent });
    }
  };
  // The server works in the order of arrival, so whoever was sent first is asked for first and the rest rarely waits.
  const follow = async (): Promise<void> => {
    for (;;) {
      const next = await settling.take();
      if (next === null) return;
      const document = await settled(client, next.document, options.clock, signal);
      options.onOutcome(outcomeOf(next.file, document, options.wait, false));
    }
  };

  const senders = Promise.all(Array.from({ length: options.concurrency }, sendInTurn)).then(settling.end);
  const all = [senders, follow()];
  try {
    await Promise.all(all);
  } catch (error) {
    stopped.abort(error);
    await Promise.allSettled(all);
    throw error;
  }
}

/** @returns the document, or the outcome when this file cannot become one. */
async function sendOne(
  client: Client,
  file: FoundFile,
  acl: Acl | null,
  signal: AbortSignal,
): Promise<DocumentView | FileOutcome> {
  if (file.bytes > largestFile) return failed(file, 'too_large', 'It is larger than 256 MiB.');
  try {
    const answer = await client.call('POST', '/api/v1/documents', {
      bodyForEachAttempt: () => formOf(file, acl),
      retries,
      signal,
    });
    return documentView.parse(answer);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ServerUnreachable || isForAll(error)) throw error;
    if (error instanceof ServerRefusal) return failed(file, error.code, error.message);
    const { code } = error as NodeJS.ErrnoException;
    // What the file system says: gone, not ours to read, changed while it was being read.
    if (typeof code === 'string' || (error as Error).name === 'NotReadableError') {
      return failed(file, 'unreadable', `It cannot be read (${code ?? 'it changed meanwhile'}).`);
    }
    throw error;
  }
}

async function formOf(file: FoundFile, acl: Acl | null): Promise<FormData> {
  const form = new FormData();
  form.set('external_id', file.externalId);
  if (acl) form.set('acl', JSON.stringify(acl));
  // Read from the disk while it is sent.
  form.set('file', await openAsBlob(file.path), basename(file.path));
  return form;
}

/** What the next file would meet as well. */
function isForAll(error: unknown): boolean {
  return error instanceof ServerRefusal && [401, 403, 429, 503].includes(error.status);
}

async function settled(
  client: Client,
  document: DocumentView,
  clock: SendOptions['clock'],
  signal: AbortSignal,
): Promise<DocumentView> {
  const deadlineMs = clock.monotonicMs() + settledWithinMs;
  for (let waitMs = firstPollMs; ; waitMs = Math.min(longestPollMs, waitMs * 1.5)) {
    const now = documentView.parse(
      await client.call('GET', `/api/v1/documents/${document.id}`, { retries, signal }),
    );
    // A newer version took over: someone else sends the same document, and theirs is what counts.
    if (isOver(now) || now.version !== document.version) return now;
    if (clock.monotonicMs() > deadlineMs) return now;
    await clock.sleep(waitMs, signal);
  }
}

function isOver({ status }: DocumentView): boolean {
  return status === 'ready' || status === 'failed';
}

function outcomeOf(file: FoundFile, document: DocumentView, waited: boolean, atOnce: boolean): FileOutcome {
  if (document.status === 'failed') {
    return { ...failed(file, document.reason ?? 'failed', document.detail ?? ''), documentId: document.id };
  }
  const unfinished = document.status !== 'ready';
  if (unfinished && waited) {
    const detail = 'It is still not searchable after 30 minutes; the server goes on with it.';
    return { ...failed(file, 'slow', detail), documentId: document.id };
  }
  const result = unfinished ? 'sent' : atOnce ? 'unchanged' : 'searchable';
  return { file, result, documentId: document.id, reason: null, detail: null };
}

function failed(file: FoundFile, reason: string, detail: string): FileOutcome {
  return { file, result: 'failed', documentId: null, reason, detail };
}
