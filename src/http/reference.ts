import swagger from '@fastify/swagger';
import scalar from '@scalar/fastify-api-reference';
import { jsonSchemaTransform } from 'fastify-type-provider-zod';
import type { Api, Routes } from '../platform/api.ts';
import type { Versioning } from './versioning.ts';

/** The published OpenAPI document and the page that shows it. Before any route is declared. */
export async function offerReference(api: Api, version: string, versioning: Versioning): Promise<void> {
  await api.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Gatehouse',
        version,
        description: "The control point between a company's applications and its language models.",
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform: withPermission,
  });
  await api.register(scalar, {
    routePrefix: '/docs',
    // Nothing is fetched from elsewhere: the script is served from here, and the fonts are the system's.
    configuration: {
      // The newest version first: it is the one to begin with.
      sources: versioning.versions
        .map(({ version }) => ({ title: `Version ${version}`, url: `/api/v${version}/openapi.json` }))
        .reverse(),
      withDefaultFonts: false,
      telemetry: false,
      hideClientButton: true,
      showDeveloperTools: 'never',
      agent: { disabled: true },
      mcp: { disabled: true },
    },
  });
}

/** The published document says of every operation which permission it needs, or that it needs none. */
const withPermission: typeof jsonSchemaTransform = (operation) => {
  const { schema, url } = jsonSchemaTransform(operation);
  const access = operation.route.config?.access;
  const said = access && 'permission' in access ? { 'x-permission': access.permission } : { security: [] };
  const deprecated = operation.route.config?.deprecated ? { deprecated: true } : {};
  return { schema: { ...schema, ...said, ...deprecated }, url };
};

/** What the files of the reference declare. */
export const documentation = {
  access: { public: 'The reference shows only what the published OpenAPI document says.' },
  limits: { exempt: 'Files that never change, several of which make one page.' },
} as const;

/** Whoever opens the address in a browser finds something to read. */
export const entranceRoute: Routes = (api) => {
  api.get(
    '/',
    {
      config: {
        access: { public: 'Leads to the reference, which is public.' },
        limits: { exempt: 'It says nothing but where the reference is.' },
      },
      schema: { hide: true },
    },
    async (_request, reply) => reply.redirect('/docs/'),
  );
};
