import type { Principal } from '../access/index.ts';
import type { FastifyRequest } from '../platform/api.ts';

/** That somebody read what not everybody may know. */
export interface Reading {
  /** What was read: the route, without its version and from its first parameter on. */
  readonly targetType: string;
  readonly targetId: string | null;
  readonly details: Readonly<Record<string, string>>;
}

/** Writes a reading down; rejects when it cannot. */
export type NoteReading = (principal: Principal, reading: Reading) => Promise<void>;

interface MountedRoute {
  readonly method: string | readonly string[];
  readonly config?: { readonly audited?: 'read' } | undefined;
  preHandler?: unknown;
}

const maxQueryLength = 1_000;

/**
 * Has the readings of a route noted that says so (`audited: 'read'`): before it is answered, so what cannot be noted cannot be
 * read. Filters are part of it, since they say what was looked for.
 */
export function noteReadingsOf(route: MountedRoute, note: NoteReading): void {
  if (route.config?.audited !== 'read' || route.method === 'HEAD') return;
  const before = [route.preHandler ?? []].flat();
  route.preHandler = [...before, (request: FastifyRequest) => note(request.principal, readingOf(request))];
}

function readingOf(request: FastifyRequest): Reading {
  const path = (request.routeOptions.url ?? '').replace(/^\/api\/v\d+\//, '');
  const { id = null } = request.params as { id?: string };
  const query = request.originalUrl.split('?', 2)[1]?.slice(0, maxQueryLength);
  return {
    targetType: path.replace(/\/:.*$/, ''),
    targetId: id,
    details: query === undefined ? {} : { query },
  };
}
