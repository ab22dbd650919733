import { z } from 'zod';
import { problemResponses, type Routes } from '../api.ts';
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

/** The keys of stored secrets, for the platform's owners. */
export function keyringRoutes(keyring: Pick<Keyring, 'status' | 'rotate'>): Routes {
  return (api) => {
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
