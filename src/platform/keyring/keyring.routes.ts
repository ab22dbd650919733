import { z } from 'zod';
import { problemResponses, type Routes } from '../api.ts';
import { notFound } from '../errors.ts';
import type { Keyring, KeyringStatus } from './keyring.ts';

const statusView = z.object({
  engine: z.enum(['local', 'vault', 'aws']).describe('What wraps data keys'),
  current_kek: z
    .string()
    .nullable()
    .describe('The key-encryption key that wraps now; null when its engine does not say'),
  health: z.object({ ok: z.boolean(), detail: z.string() }),
  keks: z.array(
    z.object({
      id: z.string(),
      is_current: z.boolean(),
      data_keys: z.number().int().describe('How many data keys it wraps: it must stay until there are none'),
      oldest_wrapped_at: z.string(),
    }),
  ),
  data_keys: z.object({
    current: z.number().int(),
    superseded: z.number().int().describe('Seal nothing any more, and still open'),
    retired: z.number().int().describe('Nothing is known to be sealed by them'),
    oldest_current_at: z.string().nullable(),
  }),
  to_reseal: z
    .array(z.object({ where: z.string(), values: z.number().int() }))
    .describe('Stored secrets that are still to be sealed by a current data key'),
  envelope_began: z
    .boolean()
    .describe('False while an instance of the version before serves, which reads its own form only'),
  next_rotation_at: z.string().nullable(),
});

const rotateBody = z.object({
  what: z
    .enum(['all', 'data_keys', 'key_encryption_key'])
    .default('all')
    .describe('`all`: data keys, and the key-encryption key where Gatehouse can make one'),
});

const customerKeyBody = z.strictObject({
  engine: z.enum(['vault', 'aws']).describe('Where the key is: a service that this server is set up for'),
  key: z
    .string()
    .min(1)
    .max(900)
    .regex(/^[\x21-\x7e]+$/, 'must be printable ASCII without spaces')
    .describe(
      'Vault: the name of a key of type aes256-gcm96, or <mount>/<name>. AWS: the ARN of a symmetric key',
    ),
});
const customerKeyView = z.object({
  kek: z.string(),
  updated_at: z.string(),
  health: z.object({ ok: z.boolean(), detail: z.string() }),
  not_rewrapped: z
    .number()
    .int()
    .describe('Data keys that the key before still wraps, and does not open now'),
});
const tenantParams = z.object({ id: z.uuid() });
type Shown = NonNullable<Awaited<ReturnType<Keyring['customerKey']>>>;

/** The keys of stored secrets, for the platform's owners. */
export function keyringRoutes(
  keyring: Pick<Keyring, 'status' | 'rotate' | 'customerKey' | 'setCustomerKey' | 'removeCustomerKey'>,
  transitMount: string,
): Routes {
  return (api) => {
    customerKeyRoutes(keyring, transitMount)(api);
    api.get(
      '/keyring',
      {
        config: { access: { permission: 'keyring:manage' } },
        schema: {
          tags: ['Keyring'],
          summary: 'Which keys stored secrets are sealed by, and how far a rotation is',
          response: { 200: statusView, ...problemResponses },
        },
      },
      async () => showStatus(await keyring.status()),
    );

    api.post(
      '/keyring/rotate',
      {
        config: { access: { permission: 'keyring:manage' } },
        schema: {
          tags: ['Keyring'],
          summary: 'Make new keys; stored secrets go on opening while they are sealed anew',
          body: rotateBody,
          response: { 202: statusView, ...problemResponses },
        },
      },
      async (request, reply) => {
        const { what } = request.body;
        await keyring.rotate({
          dataKeys: what !== 'key_encryption_key',
          keyEncryptionKey: what !== 'data_keys',
        });
        return reply.code(202).send(showStatus(await keyring.status()));
      },
    );
  };
}

function showStatus(status: KeyringStatus): z.infer<typeof statusView> {
  return {
    engine: status.engine,
    current_kek: status.currentKekId,
    health: { ok: status.health.ok, detail: status.health.detail },
    keks: status.keks.map((kek) => ({
      id: kek.kekId,
      is_current: kek.isCurrent,
      data_keys: kek.dataKeys,
      oldest_wrapped_at: kek.oldestWrappedAt.toISOString(),
    })),
    data_keys: {
      current: status.dataKeys.current,
      superseded: status.dataKeys.superseded,
      retired: status.dataKeys.retired,
      oldest_current_at: status.dataKeys.oldestCurrentAt?.toISOString() ?? null,
    },
    to_reseal: status.toReseal.map(({ name, values }) => ({ where: name, values })),
    envelope_began: status.envelopeBegan,
    next_rotation_at: status.nextRotationAt?.toISOString() ?? null,
  };
}

function customerKeyRoutes(
  keyring: Pick<Keyring, 'customerKey' | 'setCustomerKey' | 'removeCustomerKey'>,
  transitMount: string,
): Routes {
  const config = { access: { permission: 'keyring:manage' } } as const;
  return (api) => {
    api.get(
      '/tenants/:id/encryption-key',
      {
        config,
        schema: {
          tags: ['Keyring'],
          summary: "The tenant's own key, which wraps its data keys",
          params: tenantParams,
          response: { 200: customerKeyView, ...problemResponses },
        },
      },
      async (request) => {
        const found = await keyring.customerKey(request.params.id);
        if (!found) throw notFound('key of a tenant');
        return showCustomerKey(found);
      },
    );

    api.put(
      '/tenants/:id/encryption-key',
      {
        config,
        schema: {
          tags: ['Keyring'],
          summary: "Wrap the tenant's data keys by a key of its own, which it can withdraw",
          params: tenantParams,
          body: customerKeyBody,
          response: { 200: customerKeyView, ...problemResponses },
        },
      },
      async (request) => {
        const { engine, key } = request.body;
        const name = engine === 'vault' && !key.includes('/') ? `${transitMount}/${key}` : key;
        return showCustomerKey(await keyring.setCustomerKey(request.params.id, { engine, key: name }));
      },
    );

    api.delete(
      '/tenants/:id/encryption-key',
      {
        config,
        schema: {
          tags: ['Keyring'],
          summary: "Wrap the tenant's data keys by the server's key again",
          params: tenantParams,
          response: { 204: z.null(), ...problemResponses },
        },
      },
      async (request, reply) => {
        if (!(await keyring.removeCustomerKey(request.params.id))) throw notFound('key of a tenant');
        return reply.code(204).send(null);
      },
    );
  };
}

function showCustomerKey({ kek, updatedAt, health, notRewrapped }: Shown): z.infer<typeof customerKeyView> {
  return {
    kek,
    updated_at: updatedAt.toISOString(),
    health: { ok: health.ok, detail: health.detail },
    not_rewrapped: notRewrapped,
  };
}
