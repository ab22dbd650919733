import type { Clock } from '../platform/clock.ts';
import type { AnswerStore } from './answer-store.ts';
import { keyOf } from './cache-key.ts';
import type { CacheWish } from './cache-wish.ts';
import { entryOfReply } from './cached-reply.ts';
import type { Entry } from './entry.ts';
import { literalsOf } from './literals.ts';
import { type CacheableCall, type CacheableRoute, type ModelTurn, replyFrom, ttlOf } from './model-turn.ts';
import type { Neighbour, Neighbours } from './neighbours.ts';
import type { Turn } from './turn.ts';

/** What a text means; null where the tenant has no embedding model. */
export type Embed = (
  caller: CacheableCall['caller'],
  text: string,
) => Promise<{ readonly vector: Float32Array; readonly model: string } | null>;

export interface MeaningDependencies {
  readonly store: Pick<AnswerStore, 'peek' | 'onTenantRemoved'>;
  readonly neighbours: Neighbours;
  readonly clock: Pick<Clock, 'now'>;
  readonly embed?: Embed;
}

/** A question, and the wall within which another one may have its answer. */
export interface Looking {
  readonly call: CacheableCall;
  readonly route: CacheableRoute;
  /** Tenant, readers, route, form, and everything of the request but the question. */
  readonly wall: readonly string[];
  readonly text: string;
  readonly key: string;
}

/** Higher than most published figures for question pairs, because a false hit costs more than a miss. */
const defaultSimilarityThreshold = 0.95;
/** Neighbours whose answer has gone meanwhile are passed over, so many at most. */
const maxPeeks = 3;

/** Gives a question the answer of another one that means the same, and remembers what it means when it is made anew. */
export function createMeaning({ store, neighbours, clock, embed }: MeaningDependencies) {
  store.onTenantRemoved((tenantId) => neighbours.removeTenant(tenantId));

  /** The answer of the nearest question that still has one. */
  const known = async (tenantId: string, wall: string, near: readonly Neighbour[]) => {
    for (const { key, similarity } of near.slice(0, maxPeeks)) {
      const entry = await store.peek(tenantId, key);
      if (entry) return { entry, similarity };
      neighbours.forget(tenantId, wall, key);
    }
    return null;
  };

  const remember = async (tenantId: string, wall: string, key: string, vector: Float32Array) => {
    const entry = await store.peek(tenantId, key);
    if (entry) neighbours.add(tenantId, wall, key, vector, entry.expiresAtMs);
  };

  /**
   * @param turn the question's own, in its very words.
   * @param otherwise what becomes of it when nothing is known of its meaning.
   */
  return async (turn: Turn, looking: Looking, wish: CacheWish, otherwise: ModelTurn): Promise<ModelTurn> => {
    if (turn.known) return otherwise;
    const { call, route, text, key } = looking;
    const { tenantId } = call.caller.principal;
    try {
      // A cache that cannot tell what a question means is no reason not to answer it.
      const meaning = (await embed?.(call.caller, text).catch(() => null)) ?? null;
      if (meaning === null) return otherwise;
      const { vector } = meaning;
      const wall = keyOf([...looking.wall, meaning.model, literalsOf(text)]);
      const threshold = route.cache.similarityThreshold ?? defaultSimilarityThreshold;
      const near =
        wish === 'use' ? neighbours.near(tenantId, wall, vector, threshold, clock.now().getTime()) : [];
      const found = await known(tenantId, wall, near);
      if (found) {
        turn.give(found.entry);
        return { ...otherwise, known: similarReply(found.entry, found.similarity, clock) };
      }
      return {
        ...otherwise,
        async keep(given) {
          const kept = await turn.keep({ ...entryOfReply(given), ttlMs: ttlOf(route) });
          if (kept) await remember(tenantId, wall, key, vector);
        },
      };
    } catch (error) {
      turn.release();
      throw error;
    }
  };
}

function similarReply(entry: Entry, similarity: number, clock: Pick<Clock, 'now'>) {
  const reply = replyFrom(entry, 'hit', clock);
  return {
    ...reply,
    headers: { ...reply.headers, 'x-gatehouse-cache-similarity': Math.min(1, similarity).toFixed(4) },
  };
}
