import { usdFromNano } from '../costs/index.ts';
import { problemResponses, type Routes } from '../platform/api.ts';
import { AppError, notFound } from '../platform/errors.ts';
import type { AnswerStore, Usage } from './answer-store.ts';
import { cacheView, entryParams, removedView } from './cache.schema.ts';
import type { Removed } from './shared-level.ts';

/** What an admin may see of the tenant's cache, and remove from it. */
export function cacheRoutes(store: Pick<AnswerStore, 'usage' | 'removeTenant' | 'removeEntry'>): Routes {
  return (api) => {
    api.get(
      '/cache',
      {
        config: { access: { permission: 'cache:manage' } },
        schema: {
          tags: ['Cache'],
          summary: "What the tenant's answer cache holds, and what it saved",
          response: { 200: cacheView, ...problemResponses },
        },
      },
      async (request) => showUsage(await store.usage(request.principal.tenantId)),
    );

    api.delete(
      '/cache',
      {
        config: { access: { permission: 'cache:manage' }, audited: { deed: 'cache.emptied' } },
        schema: {
          tags: ['Cache'],
          summary: "Remove all of the tenant's cached answers, on every instance",
          response: { 200: removedView, ...problemResponses },
        },
      },
      async (request) => showRemoved(await store.removeTenant(request.principal.tenantId)),
    );

    api.delete(
      '/cache/entries/:key',
      {
        config: { access: { permission: 'cache:manage' }, audited: { deed: 'cached_answer.removed' } },
        schema: {
          tags: ['Cache'],
          summary: 'Remove one cached answer, on every instance',
          params: entryParams,
          response: { 200: removedView, ...problemResponses },
        },
      },
      async (request) => {
        const removed = showRemoved(await store.removeEntry(request.principal.tenantId, request.params.key));
        if (removed.removed === 0) throw notFound('cached answer');
        return removed;
      },
    );
  };
}

function showUsage({ entries, bytes, shared, hits, misses, stale, stampedesPrevented, savedNanoUsd }: Usage) {
  const looked = hits + misses;
  return {
    entries,
    bytes,
    shared,
    since_start: {
      hits,
      misses,
      hit_ratio: looked === 0 ? null : hits / looked,
      stale,
      stampedes_prevented: stampedesPrevented,
      saved_usd: usdFromNano(savedNanoUsd),
    },
  };
}

/** @throws AppError `dependency_down` when other instances may still have it. */
function showRemoved({ entries, everywhere }: Removed) {
  if (!everywhere) {
    throw new AppError(
      'dependency_down',
      'Redis is away: this instance has removed it, and removes it from Redis before it reads from there again. ' +
        'Other instances that still reach Redis may serve it until then. Try again when Redis is back.',
      { retryAfterSeconds: 5 },
    );
  }
  return { removed: entries };
}
