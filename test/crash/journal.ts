import type { ContentKey } from './content.ts';

/** A document as its owner knows it to be. */
export interface DocumentState {
  /** Counts changes of the content. */
  readonly version: number;
  readonly content: ContentKey;
  /** Null: the document is called what its file says. */
  readonly givenTitle: string | null;
  /** Groups that may read it; none: everyone in the tenant. */
  readonly groups: readonly string[];
}

/** A request about a document. Not answered whole, it may have been carried out or not. */
export type Change =
  | { readonly kind: 'create'; readonly next: DocumentState }
  | { readonly kind: 'revise'; readonly next: DocumentState; readonly byExternalId: boolean }
  | { readonly kind: 'acl'; readonly next: DocumentState }
  | { readonly kind: 'delete'; readonly next: null };

export interface KnownDocument {
  readonly tenant: string;
  readonly externalId: string | null;
  /** Null until a reply told it. */
  id: string | null;
  /** The words of all contents that were sent as it. */
  readonly markers: string[];
  /** As last acknowledged; null: nothing was, or the deletion was. */
  state: DocumentState | null;
  /** Sent at least once and not answered. Nothing else is done to the document before it is. */
  pending: Change | null;
  /** How often that was sent. */
  attempts: number;
  /** Left as it is, so that what nobody ever asked about again is looked at too. */
  abandoned: boolean;
  deleted: boolean;
  /** The newest version that a reply said is searchable; 0 for none. */
  readyVersion: number;
  /** Someone works on it. */
  busy: boolean;
  /** The round in which it was last changed. */
  round: number;
}

export type CallKind = 'chat' | 'stream' | 'embeddings' | 'question';

export interface KnownCall {
  readonly correlationId: string;
  readonly tenant: string;
  readonly kind: CallKind;
  readonly round: number;
  /** The whole reply arrived, with its end mark. */
  finished: boolean;
}

/** What clients were told. The whole of a run is judged by it: what they were told must be so. */
export interface Journal {
  readonly documents: KnownDocument[];
  readonly calls: KnownCall[];
  /** How often a request without an answer was sent again. */
  sentAgain: number;
  /** A client was told something: whoever waits for that goes on in the same instant. */
  acknowledged(): void;
  nextAcknowledgement(): Promise<void>;
  /** What a document may be found as: as acknowledged, or as a request without an answer would have made it. */
  possibleStates(document: KnownDocument): (DocumentState | null)[];
}

export function createJournal(): Journal {
  const waiting: (() => void)[] = [];
  return {
    documents: [],
    calls: [],
    sentAgain: 0,
    acknowledged: () => {
      for (const goOn of waiting.splice(0)) goOn();
    },
    nextAcknowledgement: () => new Promise((resolve) => waiting.push(resolve)),
    possibleStates: ({ state, pending }) => (pending === null ? [state] : [state, pending.next]),
  };
}

/** Counts for progress and summary. */
export function countsOf({ documents, calls, sentAgain }: Journal) {
  const alive = documents.filter((document) => document.state !== null);
  return {
    documents_acknowledged: documents.filter((document) => document.id !== null).length,
    documents_alive: alive.length,
    versions_acknowledged: alive.reduce((sum, { state }) => sum + (state?.version ?? 0), 0),
    deletions_acknowledged: documents.filter((document) => document.deleted).length,
    requests_sent_again: sentAgain,
    requests_unanswered: documents.filter((document) => document.pending !== null).length,
    calls_finished: calls.filter((call) => call.finished).length,
    calls_unfinished: calls.filter((call) => !call.finished).length,
  };
}
