import type { Clock } from '../platform/clock.ts';
import type { AnswerStore } from './answer-store.ts';
import { createMeaning, type Embed } from './by-meaning.ts';
import { keyOf } from './cache-key.ts';
import { cacheWishOf } from './cache-wish.ts';
import { entryOfReply } from './cached-reply.ts';
import { maxEntryBytes } from './entry.ts';
import {
  type CacheableCall,
  type CacheableRoute,
  type ModelTurn,
  type RequestHeaders,
  replyFrom,
  tellOf,
  ttlOf,
} from './model-turn.ts';
import { createNeighbours } from './neighbours.ts';
import { understandRequest } from './request-key.ts';
import type { Turn } from './turn.ts';

export interface ModelAnswersDependencies {
  readonly store: Pick<AnswerStore, 'open' | 'peek' | 'onTenantRemoved'>;
  readonly clock: Pick<Clock, 'now'>;
  /** What a text means, by the tenant's embedding model; null without one. Absent: `semantic` is as good as `exact`. */
  readonly embed?: Embed;
  /** Memory for what questions mean, bytes; absent: 16 MiB. */
  readonly maxVectorBytes?: number;
}

export interface ModelAnswers {
  /** Null: answers of this call are not kept, and nothing is to be said of it. */
  open(call: CacheableCall, route: CacheableRoute): ModelTurn | null | Promise<ModelTurn>;
}

const defaultVectorBytes = 16 * 1024 * 1024;

/** Caches answers of models: whole replies and streams, exact and by meaning. */
export function createModelAnswers(deps: ModelAnswersDependencies): ModelAnswers {
  const { store, clock } = deps;
  const byMeaning = createMeaning({
    ...deps,
    neighbours: createNeighbours(deps.maxVectorBytes ?? defaultVectorBytes),
  });

  const exactTurn = (turn: Turn, key: string, route: CacheableRoute): ModelTurn => ({
    known: turn.known && replyFrom(turn.known, 'hit', clock),
    headers: tellOf('miss', key),
    maxBytes: maxEntryBytes,
    keep: (given) => void turn.keep({ ...entryOfReply(given), ttlMs: ttlOf(route) }),
    release: () => turn.release(),
    releaseAll: () => turn.releaseAll(),
    stale() {
      const entry = turn.stale();
      return entry && replyFrom(entry, 'stale', clock);
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
      const wall = wallOf(call, route);
      const key = keyOf([...wall, understood.normal]);
      const opened = store.open(
        { tenantId: call.caller.principal.tenantId, kind: 'model', key },
        {
          read: wish !== 'refresh',
          onCancel: (listener) => listenTo(call.cancellation, listener),
        },
      );
      const byItsMeaning = route.cache.mode === 'semantic' && asked === undefined && deps.embed;
      const question = byItsMeaning ? understood.question() : null;
      if (question !== null) {
        const looking = { call, route, wall: [...wall, question.rest], text: question.text, key };
        return Promise.resolve(opened).then((turn) =>
          byMeaning(turn, looking, wish, exactTurn(turn, key, route)),
        );
      }
      if (opened instanceof Promise) return opened.then((turn) => exactTurn(turn, key, route));
      return exactTurn(opened, key, route);
    },
  };
}

/**
 * The wall. An answer is found again only by a caller of the same tenant who may read the same, by way of the same route
 * in the same version and in the same form.
 */
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
function providersHeaders(headers: RequestHeaders = {}): [string, string][] {
  return Object.entries(headers)
    .filter(([name]) => name.startsWith('anthropic-') || name.startsWith('openai-'))
    .map(([name, value]): [string, string] => [name, String(value)])
    .sort(([a], [b]) => (a < b ? -1 : 1));
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
