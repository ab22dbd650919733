import type { Principal } from '../access/index.ts';
import type { Clock } from '../platform/clock.ts';
import type { AnswerStore } from './answer-store.ts';
import { keyOf } from './cache-key.ts';
import { cacheWishOf } from './cache-wish.ts';
import { type CachedReply, entryOfReply, replyOfEntry } from './cached-reply.ts';
import { type Entry, type EntryName, maxEntryBytes } from './entry.ts';
import { type UnderstoodRequest, understandRequest } from './request-key.ts';
import type { Turn } from './turn.ts';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A call to a model, as far as the cache looks at it. */
export interface CacheableCall {
  readonly caller: { readonly principal: Principal; readonly correlationId: string };
  readonly model: string;
  readonly streamed: boolean;
  readonly dialect: { readonly name: string };
  readonly request: { readonly bytes: Buffer; readonly repeatable: boolean };
  /** Of the request over HTTP; absent for a call made in this process. */
  readonly headers?: Headers | undefined;
  readonly cancellation: { readonly reason: string | null; listen(listener: (() => void) | null): void };
}

/** What a model name stands for, as far as the cache looks at it. */
export interface CacheableRoute {
  readonly route: string | null;
  /** Changes with whatever of the route decides what it answers. */
  readonly version: string;
  readonly cache: {
    readonly mode: 'off' | 'exact' | 'semantic';
    readonly ttlSeconds?: number;
    readonly similarityThreshold?: number;
  };
}

/** One call's dealings with the cache. Ends with `keep`, `release` or `releaseAll`. */
export interface ModelTurn {
  /** An answer in place of a call. */
  readonly known: CachedReply | null;
  /** What the caller of an answer that is made now is told about the cache. */
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes that an answer may have to be kept; 0 when none is. */
  readonly maxBytes: number;
  keep(reply: CachedReply): void;
  release(): void;
  releaseAll(): void;
  stale(): CachedReply | null;
}

export interface ModelAnswersDependencies {
  readonly store: Pick<AnswerStore, 'open'>;
  readonly clock: Pick<Clock, 'now'>;
}

export interface ModelAnswers {
  /** Null: answers of this call are not kept, and nothing is to be said of it. */
  open(call: CacheableCall, route: CacheableRoute): ModelTurn | null | Promise<ModelTurn>;
}

/** Caches answers of models: whole replies and streams, exact and by meaning. */
export function createModelAnswers(deps: ModelAnswersDependencies): ModelAnswers {
  const { store } = deps;
  const ageOf = (entry: Entry) =>
    Math.max(0, Math.floor((deps.clock.now().getTime() - entry.storedAtMs) / 1_000));

  const reply = (entry: Entry, state: 'hit' | 'stale'): CachedReply => {
    const known = replyOfEntry(entry);
    return {
      ...known,
      headers: { ...known.headers, ...tellOf(state, entry.key), age: String(ageOf(entry)) },
    };
  };

  const modelTurn = (turn: Turn, key: string, ttlSeconds: number | undefined): ModelTurn => ({
    known: turn.known && reply(turn.known, 'hit'),
    headers: tellOf('miss', key),
    maxBytes: maxEntryBytes,
    keep(given) {
      void turn.keep({
        ...entryOfReply(given),
        ttlMs: ttlSeconds === undefined ? undefined : ttlSeconds * 1_000,
      });
    },
    release: () => turn.release(),
    releaseAll: () => turn.releaseAll(),
    stale() {
      const entry = turn.stale();
      return entry && reply(entry, 'stale');
    },
  });

  return {
    open(call, route) {
      // A call made in this process may carry the text of documents; whoever made it knows which, and keeps its answer.
      if (call.headers === undefined) return null;
      const asked = call.headers['x-gatehouse-cache'];
      // The way of nearly all calls: nothing but this is done for them.
      if (route.cache.mode === 'off' && asked === undefined) return null;
      const wish = cacheWishOf(call.headers);
      if (wish === 'off') return notKept;
      const understood = call.request.repeatable
        ? understandRequest(call.dialect.name, call.request.bytes, call.streamed)
        : null;
      if (understood === null) return notKept;
      const key = keyOfCall(call, route, understood);
      const name: EntryName = { tenantId: call.caller.principal.tenantId, kind: 'model', key };
      const turn = store.open(name, {
        read: wish !== 'refresh',
        onCancel: (listener) => listenTo(call.cancellation, listener),
      });
      const { ttlSeconds } = route.cache;
      if (turn instanceof Promise) return turn.then((opened) => modelTurn(opened, key, ttlSeconds));
      return modelTurn(turn, key, ttlSeconds);
    },
  };
}

/**
 * The wall. An answer is found again only by a caller of the same tenant who may read the same, by way of the same route
 * in the same version, in the same form, with the same question.
 */
function keyOfCall(call: CacheableCall, route: CacheableRoute, understood: UnderstoodRequest): string {
  return keyOf([...wallOf(call, route), understood.normal]);
}

function wallOf(call: CacheableCall, route: CacheableRoute): string[] {
  const { principal } = call.caller;
  return [
    'model answer 1',
    principal.tenantId,
    JSON.stringify([...principal.readerTokens].sort()),
    call.dialect.name,
    route.route ?? '',
    call.model,
    route.version,
    call.streamed ? 'streamed' : 'whole',
    JSON.stringify(providersHeaders(call.headers)),
  ];
}

/** Versions and previews that a client asks its provider for by header, which dialects pass on. */
function providersHeaders(headers: Headers = {}): [string, string][] {
  return Object.entries(headers)
    .filter(([name]) => name.startsWith('anthropic-') || name.startsWith('openai-'))
    .map(([name, value]): [string, string] => [name, String(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

function tellOf(state: 'hit' | 'miss' | 'stale', key: string): Record<string, string> {
  return { 'x-gatehouse-cache': state, 'x-gatehouse-cache-key': key };
}

/** The call's one listener is free while it waits: whoever calls a provider sets their own later. */
function listenTo(cancellation: CacheableCall['cancellation'], listener: () => void): () => void {
  if (cancellation.reason !== null) listener();
  cancellation.listen(listener);
  return () => cancellation.listen(null);
}

/** For a caller who spoke of the cache, or whose route is cached, when this call is not. */
const notKept: ModelTurn = Object.freeze({
  known: null,
  headers: Object.freeze({ 'x-gatehouse-cache': 'off' }),
  maxBytes: 0,
  keep() {},
  release() {},
  releaseAll() {},
  stale: () => null,
});
