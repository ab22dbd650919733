import { z } from 'zod';
import { problemResponses, type Routes } from '../platform/api.ts';
import { documentOf, type OpenApiDocument, type Versioning } from './versioning.ts';

const day = z.string().describe('A day in UTC, such as 2026-11-21');
const deprecation = z.object({
  since: day,
  sunset: day.describe('After it, this may stop answering'),
  successor: z.string().nullable().describe('What takes its place'),
});
const versionView = z.object({
  version: z.string(),
  state: z.enum(['current', 'supported', 'deprecated']),
  since: day,
  base: z.string().describe('Where its paths begin'),
  openapi: z.string(),
  is_default: z.boolean().describe('Answers where a request names no version'),
  deprecation: deprecation.nullable(),
  changes: z.array(z.string()).describe('What is different from the version before'),
  deprecated_routes: z.array(deprecation.extend({ method: z.string(), path: z.string() })),
});

/** `GET /api/versions`. */
export function versionListRoutes(versioning: Versioning): Routes {
  return (api) => {
    api.get(
      '/versions',
      {
        config: { access: { public: 'Which versions there are is in the published documents, too.' } },
        schema: {
          tags: ['Versions'],
          summary: 'Which versions of the interface there are, and what is deprecated',
          response: { 200: z.object({ versions: z.array(versionView) }), ...problemResponses },
        },
      },
      async () => ({ versions: versioning.versions.map((_, n) => show(versioning, n)) }),
    );
  };
}

/** `openapi.json` of one version, mounted under it. */
export function documentRoutes(versioning: Versioning, version: string): Routes {
  return (api) => {
    let text: string | undefined;
    api.get(
      '/openapi.json',
      {
        config: {
          access: {
            public: 'The description of the interface holds no data; clients are generated from it.',
          },
        },
        schema: { hide: true },
      },
      async (_request, reply) => {
        text ??= JSON.stringify(documentOf(api.swagger() as OpenApiDocument, version, versioning));
        return reply.type('application/json').send(text);
      },
    );
  };
}

function show({ versions, deprecatedRoutes }: Versioning, n: number): z.infer<typeof versionView> {
  const known = versions[n];
  if (!known) throw new RangeError(`there is no version at ${n}`);
  const base = `/api/v${known.version}`;
  const next = versions[n + 1];
  return {
    version: known.version,
    state: known.state,
    since: known.since,
    base,
    openapi: `${base}/openapi.json`,
    is_default: n === 0,
    deprecation: known.deprecation
      ? { ...known.deprecation, successor: next ? `/api/v${next.version}` : null }
      : null,
    changes: [...known.changes],
    deprecated_routes: deprecatedRoutes
      .filter(({ url }) => url.startsWith(`${base}/`))
      .map(({ method, url, since, sunset, successor }) => ({ method, path: url, since, sunset, successor })),
  };
}
