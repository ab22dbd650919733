import { AppError } from '../platform/errors.ts';

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What a caller wants of the cache: `off` (neither read nor write), `refresh` (write only), or to use it. */
export type CacheWish = 'use' | 'refresh' | 'off';

/**
 * @param headers of the request: `X-Gatehouse-Cache: off` or `exact`, `Cache-Control: no-store` (off) or `no-cache`
 *   (refresh).
 * @throws AppError `bad_request` when `X-Gatehouse-Cache` says something else.
 */
export function cacheWishOf(headers: Headers): CacheWish {
  const asked = headers['x-gatehouse-cache'];
  if (asked !== undefined && asked !== 'off' && asked !== 'exact') {
    const message = 'must be "off" or "exact"';
    throw new AppError('bad_request', `The header X-Gatehouse-Cache ${message}.`, {
      errors: [{ path: 'X-Gatehouse-Cache', message }],
    });
  }
  const directives = String(headers['cache-control'] ?? '')
    .toLowerCase()
    .split(',')
    .map((directive) => directive.trim());
  if (asked === 'off' || directives.includes('no-store')) return 'off';
  return directives.includes('no-cache') ? 'refresh' : 'use';
}
