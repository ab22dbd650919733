import { setTimeout as pause } from 'node:timers/promises';
import { checkFindable, checkGone } from './check-search.ts';
import { changeOf, newDocument, send } from './document-traffic.ts';
import type { CrashRun } from './house.ts';
import type { KnownDocument } from './journal.ts';
import { callModel } from './model-traffic.ts';
import { createDraws, type Draws } from './random.ts';

const clients = 6;
/** A client rests up to this long between two requests. */
const restMs = 150;
/** New documents in one round, so that a run's last look at all of them stays short. */
const newDocumentsPerRound = 14;
/** Of documents whose first request was not answered, this many are never asked for again. */
const abandonedShare = 0.15;

const actions = {
  create: 20,
  retry: 16,
  revise: 8,
  acl: 5,
  delete: 6,
  find: 8,
  chat: 11,
  stream: 14,
  embeddings: 5,
  question: 4,
};
type Action = keyof typeof actions;

/** Clients at work until `over`: resolves when each has its last reply, or knows that none will come. */
export async function runTraffic(run: CrashRun, url: string, over: AbortSignal): Promise<void> {
  const budget = { documents: newDocumentsPerRound };
  const work = async (client: number) => {
    const draws = createDraws(run.seed * 1_000_003 + run.round * 101 + client);
    while (!over.aborted) {
      await act(run, url, draws, draws.weighted(actions), budget);
      await pause(draws.integer(0, restMs), undefined, { signal: over }).catch(() => {});
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  abandonSome(run);
}

async function act(
  run: CrashRun,
  url: string,
  draws: Draws,
  action: Action,
  budget: { documents: number },
): Promise<void> {
  switch (action) {
    case 'create':
      if (budget.documents-- <= 0) return;
      return alone(newDocument(run, draws), (document) => send(run, url, draws, document));
    case 'retry':
      return alone(pickDocument(run, draws, isUnanswered), (document) => send(run, url, draws, document));
    case 'revise':
    case 'acl':
    case 'delete':
      return alone(pickDocument(run, draws, isSettled), async (document) => {
        document.pending = changeOf(run, draws, document, action);
        await send(run, url, draws, document);
        if (document.deleted) await checkGone(run, url, document);
      });
    case 'find':
      return alone(pickDocument(run, draws, isSettled), (document) => checkFindable(run, url, document));
    default:
      return callModel(run, url, draws, action);
  }
}

export const isUnanswered = (document: KnownDocument) => document.pending !== null && !document.abandoned;
export const isSettled = (document: KnownDocument) => document.state !== null && document.pending === null;

/** One client at a time works on a document: what two do at once has no outcome that either could know. */
async function alone(
  document: KnownDocument | undefined,
  work: (document: KnownDocument) => Promise<void>,
): Promise<void> {
  if (!document || document.busy) return;
  document.busy = true;
  try {
    await work(document);
  } finally {
    document.busy = false;
  }
}

/** Newer ones more often than older ones: what was touched last is what a crash can hurt. */
function pickDocument(
  run: CrashRun,
  draws: Draws,
  fits: (document: KnownDocument) => boolean,
): KnownDocument | undefined {
  const fitting = run.journal.documents.filter((document) => fits(document) && !document.busy);
  return fitting.at(-1 - Math.floor(fitting.length * draws.number() ** 2));
}

function abandonSome(run: CrashRun): void {
  const draws = createDraws(run.seed * 31 + run.round);
  for (const document of run.journal.documents) {
    const isNew = document.pending?.kind === 'create' && document.round === run.round;
    if (isNew && !document.abandoned && draws.chance(abandonedShare)) document.abandoned = true;
  }
}
