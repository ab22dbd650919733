/**
 * Answers that are already known: model answers, knowledge answers and embeddings, in this process and, with Redis, across
 * instances.
 *
 * For whoever caches something of their own:
 *
 *     const name = { tenantId, kind: 'knowledge', key: keyOf(['knowledge', tenantId, ...scope, version, question]) };
 *     const turn = await store.open(name, { onCancel });
 *     try {
 *       if (turn.known) return read(turn.known.body);
 *       const answer = await work();
 *       turn.keep({ body, tags: documents.map((id) => `document:${id}`), costNanoUsd });
 *       return answer;
 *     } catch (error) {
 *       const stale = turn.stale();
 *       …
 *     } finally {
 *       turn.release();
 *     }
 *
 * - **The wall is the key.** Whatever decides who may see an answer goes into it: tenant, reader tokens (sorted), the
 *   version of what was read. The store itself keeps tenants apart and nothing else.
 * - **`open` before reading** what the answer is made from. An answer whose tag was removed after its turn was opened is
 *   not kept, so a document that changes while an answer is being made cannot leave an old one behind.
 * - **`removeTagged(tenantId, tags)` after the write has committed and before it is acknowledged.** It resolves when no
 *   instance can serve an entry with that tag any more: entries with tags are checked against Redis at every read. When
 *   Redis is away it resolves with `everywhere: false`, and this instance tells Redis before it reads from it again.
 * - **Many small values** (embeddings by content hash): `find` and `put`, which know no turns.
 */
export { type AnswerStore, createAnswerStore, type Usage } from './answer-store.ts';
export { cacheRoutes } from './cache.routes.ts';
export { keyOf } from './cache-key.ts';
export { type CacheWish, cacheWishOf } from './cache-wish.ts';
export type { CachedReply } from './cached-reply.ts';
export { type Entry, maxTags } from './entry.ts';
export { createModelAnswers } from './model-answers.ts';
export type { ModelTurn } from './model-turn.ts';
export { createRedisLevel } from './redis-level.ts';
export type { Removed } from './shared-level.ts';
export type { Turn } from './turn.ts';
