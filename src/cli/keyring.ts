import { z } from 'zod';
import { type Client, withClient } from './client.ts';
import type { ServerValues } from './client-options.ts';
import { type CommandContext, exitCodes, UsageError } from './command.ts';

const statusView = z.object({
  engine: z.string(),
  current_kek: z.string().nullable(),
  health: z.object({ ok: z.boolean(), detail: z.string() }),
  keks: z.array(
    z.object({
      id: z.string(),
      is_current: z.boolean(),
      data_keys: z.number(),
      oldest_wrapped_at: z.string(),
    }),
  ),
  data_keys: z.object({ current: z.number(), superseded: z.number(), retired: z.number() }).loose(),
  to_reseal: z.array(z.object({ where: z.string(), values: z.number() })),
  envelope_began: z.boolean(),
  next_rotation_at: z.string().nullable(),
});
type Status = z.infer<typeof statusView>;

const lookEveryMs = 1_000;
/** A rotation that takes longer goes on by itself; `keyring status` tells how far it is. */
const patienceMs = 600_000;
const kinds = ['all', 'data_keys', 'key_encryption_key'] as const;

export async function keyringStatus(values: ServerValues, context: CommandContext): Promise<number> {
  const status = await withClient(values, context, readStatus);
  context.output.result(status);
  show(status, context);
  return status.health.ok ? exitCodes.ok : exitCodes.failed;
}

/** Waits until what is stored is sealed by the new keys, as far as it can be. */
export async function rotateKeyring(
  values: ServerValues & { readonly what?: string },
  context: CommandContext,
): Promise<number> {
  const { output, clock } = context;
  const what = kinds.find((kind) => kind === (values.what ?? 'all'));
  if (what === undefined) throw new UsageError(`--what is one of ${kinds.join(', ')}`);
  const status = await withClient(values, context, async (client) => {
    let now = statusView.parse(await client.call('POST', '/api/v1/keyring/rotate', { body: { what } }));
    const until = clock.monotonicMs() + patienceMs;
    while (!isDone(now) && clock.monotonicMs() < until) {
      await clock.sleep(lookEveryMs);
      now = await readStatus(client);
    }
    return now;
  });
  output.result(status);
  show(status, context);
  if (isDone(status)) return exitCodes.ok;
  output.line(
    'The rotation is not through yet; it goes on by itself. See the log of the server for what is in its way.',
  );
  return exitCodes.failed;
}

const readStatus = async (client: Client): Promise<Status> =>
  statusView.parse(await client.call('GET', '/api/v1/keyring'));

const isDone = ({ keks, to_reseal }: Status): boolean =>
  keks.every((kek) => kek.is_current) && to_reseal.every(({ values }) => values === 0);

function show(status: Status, { output }: CommandContext): void {
  output.line(`Engine ${status.engine}: ${status.health.detail}`);
  if (status.keks.length > 0) {
    output.table(
      ['KEY-ENCRYPTION KEY', 'STATE', 'DATA KEYS', 'SINCE'],
      status.keks.map((kek) => [
        kek.id,
        kek.is_current ? 'current' : 'still needed',
        String(kek.data_keys),
        kek.oldest_wrapped_at.slice(0, 16).replace('T', ' '),
      ]),
    );
  }
  const { current, superseded, retired } = status.data_keys;
  output.line(`Data keys: ${current} current, ${superseded} superseded, ${retired} retired`);
  const left = status.to_reseal.reduce((sum, { values }) => sum + values, 0);
  output.line(
    left === 0
      ? 'All stored secrets are sealed by current keys.'
      : `${left} stored secrets are still to be sealed anew.`,
  );
  if (status.next_rotation_at) output.line(`Next rotation: ${status.next_rotation_at.slice(0, 10)}`);
}
