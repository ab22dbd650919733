import type { IncomingMessage } from 'node:http';
import type { FastifyReply, FastifyRequest } from '../platform/api.ts';
import type { RouteDeprecation } from '../platform/route-deprecation.ts';
import { negotiate, type Offer } from './version-negotiation.ts';
import { type ApiVersion, apiVersions } from './versions.ts';

/** A route that says that it is deprecated, for the list of versions. */
export interface DeprecatedRoute extends RouteDeprecation {
  readonly method: string;
  readonly url: string;
}

export type Versioning = ReturnType<typeof createVersioning>;

const versioned = /^\/api\/v(\d{1,9})(?=[/?]|$)/;
/** What stands under /api beside the versions. */
const beside = /^\/api(?:\/versions)?\/?(?:\?|$)/;

/**
 * Versions of the interface (HTTP-5). A request is led to the route that answers it before it is routed: to that of the
 * version it asks for where this version has one of its own, else to that of the newest version before it that has. So
 * what did not change is one route, with one name in metrics and in the audit log, whatever the version asked for.
 */
export function createVersioning(versions: readonly ApiVersion[] = apiVersions) {
  const first = versions[0]?.version ?? '1';
  const offer: Offer = { versions: versions.map(({ version }) => version), byDefault: first };
  const routes: OwnRoute[] = [];
  const deprecatedRoutes: DeprecatedRoute[] = [];
  /** A deprecated version with the one that follows it. */
  const leaving = new Map(
    versions.flatMap(({ version, deprecation }, n) =>
      deprecation ? [[version, { ...deprecation, next: versions[n + 1]?.version }]] : [],
    ),
  );

  const asked = (raw: IncomingMessage, url: string): string =>
    negotiate(
      {
        path: versioned.exec(url)?.[1] ?? null,
        header: raw.headers['x-api-version'],
        accept: raw.headers.accept,
      },
      offer,
    );
  /** The newest version up to `version` that has a route of its own for this path. */
  const answering = (version: string, method: string, path: string): string => {
    for (let n = offer.versions.indexOf(version); n > 0; n--) {
      const candidate = offer.versions[n] ?? first;
      if (routes.some((route) => route.version === candidate && matches(route, method, path)))
        return candidate;
    }
    return first;
  };
  /** Patterns that are more exact than the one that matched win, as they do in the router. */
  const matches = (route: OwnRoute, method: string, path: string): boolean =>
    route.method === (method === 'HEAD' ? 'GET' : method) &&
    route.pattern.test(path) &&
    !routes.some((other) => comesBefore(other, route) && isCloser(other, route) && other.pattern.test(path));
  const comesBefore = (a: OwnRoute, b: OwnRoute): boolean =>
    offer.versions.indexOf(a.version) < offer.versions.indexOf(b.version);

  const tellDeprecation = (version: string, request: FastifyRequest, reply: FastifyReply): void => {
    const { deprecated } = request.routeOptions.config;
    const leaves = leaving.get(version);
    if (deprecated !== undefined) {
      const { successor } = deprecated;
      reply.headers(
        deprecationHeaders(deprecated, successor === null ? null : filled(successor, request.params)),
      );
    } else if (leaves !== undefined) {
      const path = request.url.split('?', 1)[0] ?? '';
      const successor = leaves.next === undefined ? null : path.replace(versioned, `/api/v${leaves.next}`);
      reply.headers(deprecationHeaders(leaves, successor));
    }
  };

  return {
    versions,
    deprecatedRoutes: deprecatedRoutes as readonly DeprecatedRoute[],

    /** Remembers a route that is mounted. For Fastify's `onRoute`. */
    declared(route: { method: string | readonly string[]; url: string; config?: unknown }): void {
      const version = versioned.exec(route.url)?.[1];
      const { deprecated } = (route.config ?? {}) as { deprecated?: RouteDeprecation };
      for (const method of [route.method].flat() as string[]) {
        if (method === 'HEAD') continue;
        if (deprecated) deprecatedRoutes.push({ method, url: route.url, ...deprecated });
        if (version === undefined) continue;
        const path = route.url.replace(versioned, '');
        routes.push({ version, method, path, pattern: patternOf(path) });
      }
    },

    /** Where a request is led. For Fastify's `rewriteUrl`; refusals come later, from `check`, where they can be told. */
    rewrite(raw: IncomingMessage): string {
      const url = raw.url ?? '/';
      if (!url.startsWith('/api/') || beside.test(url)) return url;
      let version: string;
      try {
        version = asked(raw, url);
      } catch {
        return url;
      }
      (raw as Answered)[answeredIn] = version;
      const rest = versioned.test(url) ? url.replace(versioned, '') : url.slice('/api'.length);
      const path = rest.split('?', 1)[0] ?? '';
      return `/api/v${answering(version, raw.method ?? 'GET', path)}${rest}`;
    },

    /** Says in which version the reply is, and what is deprecated about it: on every reply, refusals too. */
    mark(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
      const version = (request.raw as Answered)[answeredIn];
      reply.header('x-api-version', version ?? first);
      // Model calls have none.
      if (version !== undefined) tellDeprecation(version, request, reply);
      done();
    },

    /** @throws AppError `bad_request` when the request asks for a version that is not offered, or for two. */
    check(request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void {
      const { originalUrl, raw } = request;
      try {
        if (originalUrl.startsWith('/api/') && !beside.test(originalUrl)) asked(raw, originalUrl);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
  };
}

interface OwnRoute {
  readonly version: string;
  readonly method: string;
  readonly path: string;
  readonly pattern: RegExp;
}

const answeredIn = Symbol('answeredIn');
type Answered = IncomingMessage & { [answeredIn]?: string };

function patternOf(path: string): RegExp {
  const escaped = path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:[A-Za-z_]+/g, '[^/]+')}/?$`);
}

/** Whether a route of another version names literally what this one leaves open. */
function isCloser(other: OwnRoute, route: OwnRoute): boolean {
  return (
    other.method === route.method &&
    other.path !== route.path &&
    route.pattern.test(other.path) &&
    other.path.split(':').length < route.path.split(':').length
  );
}

/** `Deprecation` (RFC 9745), `Sunset` (RFC 8594), and links to what takes its place and to the list of versions. */
function deprecationHeaders(
  { since, sunset }: { readonly since: string; readonly sunset: string },
  successor: string | null,
): Record<string, string> {
  const links = ['</api/versions>; rel="deprecation"; type="application/json"'];
  if (successor !== null) links.unshift(`<${successor}>; rel="successor-version"`);
  return {
    deprecation: `@${Date.parse(since) / 1_000}`,
    sunset: new Date(sunset).toUTCString(),
    link: links.join(', '),
  };
}

/** The successor of this very request: `:id` becomes what stood there. */
function filled(successor: string, params: unknown): string {
  const given = params as Readonly<Record<string, string>>;
  return successor.replace(/:([A-Za-z_]+)/g, (_, name: string) => encodeURIComponent(given[name] ?? ''));
}

/** As much of an OpenAPI document as matters here. */
export interface OpenApiDocument {
  readonly info: object;
  readonly paths?: Readonly<Record<string, object | undefined>>;
}

/**
 * The published document of one version: its own routes, and below its path those of the versions before that it did not
 * change.
 * @param whole the document of all routes.
 */
export function documentOf(
  whole: OpenApiDocument,
  version: string,
  { versions }: Pick<Versioning, 'versions'>,
): object {
  const names = versions.map((known) => known.version);
  const upTo = names.slice(0, names.indexOf(version) + 1);
  const paths: Record<string, object> = {};
  for (const [path, operations] of Object.entries(whole.paths ?? {})) {
    if (!versioned.test(path)) paths[path] = operations ?? {};
  }
  for (const name of upTo) {
    for (const [path, operations] of Object.entries(whole.paths ?? {})) {
      if (versioned.exec(path)?.[1] !== name) continue;
      const here = path.replace(versioned, `/api/v${version}`);
      paths[here] = { ...paths[here], ...operations };
    }
  }
  return { ...whole, info: { ...whole.info, title: `Gatehouse API v${version}` }, paths };
}
