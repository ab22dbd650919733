import { z } from 'zod';
import { roleName } from '../../access/index.ts';
import { problemResponses, type Routes } from '../../platform/api.ts';
import type { Masking } from './masking.service.ts';

type MaskingRuleRow = Awaited<ReturnType<Masking['mask']>>;

const config = { access: { permission: 'roles:manage' } } as const;
const tags = ['Masking'];

const field = z
  .string()
  .min(1)
  .max(100)
  .refine((text) => text.isWellFormed() && !text.includes('\0'), 'must be well-formed Unicode without NUL');
const ruleView = z.object({
  field: z.string().describe('A member of documents’ metadata'),
  roles: z.array(z.string()).describe('Who reads it, beside holders of documents:unmasked'),
  created_at: z.string(),
  updated_at: z.string(),
});

export function maskingRoutes(masking: Masking): Routes {
  return (api) => {
    api.get(
      '/masking-rules',
      {
        config,
        schema: {
          tags,
          summary: 'Members of metadata that only some may read',
          response: { 200: z.object({ rules: z.array(ruleView) }), ...problemResponses },
        },
      },
      async (request) => ({ rules: (await masking.rules(request.principal)).map(showRule) }),
    );

    api.put(
      '/masking-rules/:field',
      {
        config,
        schema: {
          tags,
          summary: 'Mask a member of documents’ metadata; holds at the next request',
          description:
            'Whoever has none of the roles and not the permission documents:unmasked is shown `[masked]` in its place, finds nothing by it, and cannot change it.',
          params: z.object({ field }),
          body: z.strictObject({ roles: z.array(roleName).max(100).default([]) }),
          response: { 200: ruleView, ...problemResponses },
        },
      },
      async (request) =>
        showRule(await masking.mask(request.principal, request.params.field, request.body.roles)),
    );

    api.delete(
      '/masking-rules/:field',
      {
        config,
        schema: {
          tags,
          summary: 'Let everybody who reads a document read this member again',
          params: z.object({ field }),
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        await masking.unmask(request.principal, request.params.field);
        return reply.code(204).send(null);
      },
    );
  };
}

function showRule(row: MaskingRuleRow): z.infer<typeof ruleView> {
  return {
    field: row.field,
    roles: row.readers.map((token) => token.slice('role:'.length)),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
