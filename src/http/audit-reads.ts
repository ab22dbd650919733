import type { Principal, RouteAccess } from '../access/index.ts';
import type { FastifyRequest } from '../platform/api.ts';
import type { AuditedRoute } from '../platform/audited-route.ts';

/** That somebody read what not everybody may know, or did what changes no table. */
export interface Reading {
  readonly action: string;
  /** What was read: the route, without its version and from its first parameter on. */
  readonly targetType: string;
  readonly targetId: string | null;
  readonly details: Readonly<Record<string, unknown>>;
}

/** Writes a reading down; rejects when it cannot. */
export type NoteReading = (principal: Principal, reading: Reading) => Promise<void>;

interface MountedRoute {
  readonly method: string | readonly string[];
  readonly config?:
    | { readonly audited?: AuditedRoute | undefined; readonly access?: RouteAccess | undefined }
    | undefined;
  preHandler?: unknown;
}

const maxQueryLength = 1_000;

/**
 * Has the readings of a route noted that says so (`audited`), or that needs a permission to manage: before it is answered, so
 * what cannot be noted cannot be read. Filters are part of it, since they say what was looked for. The same holds for
 * what a route does beside all tables.
 */
export function noteReadingsOf(route: MountedRoute, note: NoteReading): void {
  const audited = route.config?.audited ?? (isAdministrative(route) ? 'read' : undefined);
  if (audited === undefined || route.method === 'HEAD') return;
  const before = [route.preHandler ?? []].flat();
  route.preHandler = [
    ...before,
    (request: FastifyRequest) => note(request.principal, readingOf(request, audited)),
  ];
}

/** What is one's own to manage is no administration. */
const ofOneself: readonly string[] = ['account:manage'];

/** A reading that takes the right to change what is read. */
function isAdministrative({ method, config }: MountedRoute): boolean {
  const { access } = config ?? {};
  if (method !== 'GET' || access === undefined || !('permission' in access)) return false;
  return /:(?:manage|forward)$/.test(access.permission) && !ofOneself.includes(access.permission);
}

function readingOf(request: FastifyRequest, audited: AuditedRoute): Reading {
  const path = (request.routeOptions.url ?? '').replace(/^\/api\/v\d+\//, '');
  const [targetId = null] = Object.values(request.params as Record<string, string>);
  const query = request.originalUrl.split('?', 2)[1]?.slice(0, maxQueryLength);
  const isTold = audited !== 'read' && audited.tellsBody === true;
  return {
    action: audited === 'read' ? 'data.read' : audited.deed,
    targetType: path.replace(/\/:.*$/, ''),
    targetId,
    details: {
      ...(query === undefined ? {} : { query }),
      ...(isTold ? { asked: request.body } : {}),
    },
  };
}
